// Where a guest's console goes.
#pragma once

namespace retrap {

/// Takes what a UART or a firmware console call prints, byte by byte.
class ConsoleSink {
 public:
  virtual ~ConsoleSink() = default;
  virtual void put(char byte) = 0;
};

}  // namespace retrap
