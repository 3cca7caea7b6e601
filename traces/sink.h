// Where a trace is written to: a file, or memory.
#pragma once

#include <memory>
#include <string>

#include "traces/varint.h"
#include "vmm/base/result.h"

namespace retrap::traces {

/// Takes bytes at its end; what it has taken survives the death of the process.
class Sink {
 public:
  virtual ~Sink() = default;
  [[nodiscard]] virtual Result<> append(ConstBytes bytes) = 0;
  /// Nothing is appended any more. An Error where something of it did not arrive after all.
  [[nodiscard]] virtual Result<> close() { return {}; }
};

/// A new file in place of an older one. The Error names the path and what to do.
[[nodiscard]] Result<std::unique_ptr<Sink>> make_file_sink(const std::string& path);

/// Appends to `bytes`, which outlives the sink.
class MemorySink final : public Sink {
 public:
  explicit MemorySink(ByteVector& bytes) : bytes_(bytes) {}
  [[nodiscard]] Result<> append(ConstBytes bytes) override {
    append_bytes(bytes_, bytes);
    return {};
  }

 private:
  ByteVector& bytes_;
};

}  // namespace retrap::traces
