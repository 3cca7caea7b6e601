// Error codes in words.
#include "vmm/base/result.h"

namespace retrap {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidInput:     return "invalid input";
    case ErrorCode::AlreadyExists:    return "already exists";
    case ErrorCode::BadState:         return "bad state";
    case ErrorCode::NoMemory:         return "no memory";
    case ErrorCode::NotFound:         return "not found";
    case ErrorCode::Unsupported:      return "unsupported";
    case ErrorCode::PermissionDenied: return "permission denied";
    case ErrorCode::Overlap:          return "overlap";
    case ErrorCode::Backend:          return "backend";
    case ErrorCode::CorruptTrace:     return "corrupt trace";
    case ErrorCode::Diverged:         return "diverged";
  }
  return "unknown";
}

}  // namespace retrap
