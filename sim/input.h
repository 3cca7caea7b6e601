// What comes to a machine from outside, for whoever listens to it.
#pragma once

#include <cstdint>

#include "traces/events.h"
#include "vmm/observer.h"

namespace retrap {

/// An Observer that also hears what the embedder does through the machine, after it was done.
class MachineObserver : public Observer {
 public:
  virtual void on_input(const traces::InputRecord& input) { (void)input; }
};

}  // namespace retrap
