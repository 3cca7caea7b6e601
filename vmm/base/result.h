// How this project says that something went wrong.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace retrap {

/// What a caller may want to branch on. The first seven are axvm's. Append; never renumber.
enum class ErrorCode : std::uint8_t {
  InvalidInput,      ///< the caller broke a documented requirement
  AlreadyExists,     ///< it is there already
  BadState,          ///< valid, and not now
  NoMemory,          ///< no frame, no window, no slot is left
  NotFound,          ///< nothing is there
  Unsupported,       ///< valid, and not offered here
  PermissionDenied,  ///< the region or the owner forbids it
  Overlap,           ///< two things want the same addresses
  Backend,           ///< the CPU engine or the operating system refused
  CorruptTrace,      ///< the bytes on disk are not a trace of this version
  Diverged,          ///< a replay left the recorded path
};

/// The code in words, lower case: "invalid input".
[[nodiscard]] std::string_view to_string(ErrorCode code);

/// A failure of the host side: configuration, files, the engine.
///
/// What a guest does wrong is not an Error; it is an exit or an answer. What we do wrong is
/// not an Error either; it is a RETRAP_CHECK. Errors are for the world between.
struct Error {
  ErrorCode code;
  /// One clause, lower case, with the values: "ram at gpa:0x... overlaps uart0".
  std::string message;

  [[nodiscard]] friend bool operator==(const Error&, const Error&) = default;
};

template <class T = void>
using Result = tl::expected<T, Error>;

/// `return fail(ErrorCode::NotFound, "no vcpu {} in vm {}", vcpu, vm);`
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> text,
                                         Args&&... args) {
  return tl::unexpected(Error{code, fmt::format(text, std::forward<Args>(args)...)});
}

/// Says where an error came from on its way up: `.map_error(while_doing("loading {}", path))`.
template <class... Args>
[[nodiscard]] auto while_doing(fmt::format_string<Args...> text, Args&&... args) {
  return [prefix = fmt::format(text, std::forward<Args>(args)...)](Error error) {
    error.message = fmt::format("{}: {}", prefix, error.message);
    return error;
  };
}

}  // namespace retrap

/// Returns an error to the caller. `RETRAP_TRY(expression);` where there is no value,
/// `RETRAP_TRY(auto frame, frames.allocate());` where there is one.
#define RETRAP_TRY(...) RETRAP_TRY_PICK(__VA_ARGS__, RETRAP_TRY_VALUE, RETRAP_TRY_VOID)(__VA_ARGS__)
#define RETRAP_TRY_PICK(first, second, name, ...) name
#define RETRAP_TRY_NAME(prefix, line) RETRAP_TRY_NAME_2(prefix, line)
#define RETRAP_TRY_NAME_2(prefix, line) prefix##line
#define RETRAP_TRY_VALUE(declaration, expression) \
  RETRAP_TRY_VALUE_2(RETRAP_TRY_NAME(retrap_try_, __LINE__), declaration, expression)
#define RETRAP_TRY_VALUE_2(result, declaration, expression)      \
  auto result = (expression);                                    \
  if (!result) return tl::unexpected(std::move(result).error()); \
  declaration = *std::move(result)
#define RETRAP_TRY_VOID(expression) \
  RETRAP_TRY_VOID_2(RETRAP_TRY_NAME(retrap_try_, __LINE__), expression)
#define RETRAP_TRY_VOID_2(result, expression) \
  if (auto result = (expression); !result) return tl::unexpected(std::move(result).error())
