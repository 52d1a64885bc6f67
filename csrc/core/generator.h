// The random number generator's state: a seed and the number of Philox counters handed out so far. A kernel reserves
// the counters that it needs and draws from them on any number of threads (core/philox.h).
#pragma once
#include <array>
#include <cstdint>

#include "core/philox.h"
#include "core/spin_lock.h"

namespace fastdl {

class Generator {
 public:
  using State = std::array<uint8_t, 16>;  // seed and offset, little-endian

  explicit Generator(uint64_t seed) : philox_{seed, 0} {}

  // The state from which `counters` counters belong to the caller.
  PhiloxState reserve(uint64_t counters);

  void manual_seed(uint64_t seed);  // and starts from offset 0
  uint64_t seed();                  // a new seed from the operating system; returns it
  uint64_t initial_seed() const;
  State state() const;
  void set_state(const State& state);

  // Around fork, so that the child finds the lock free.
  void lock() { lock_.lock(); }
  void unlock() { lock_.unlock(); }

 private:
  mutable SpinLock lock_;
  PhiloxState philox_;
};

// Seeded by the operating system. A forked child goes on from the parent's state, so both draw the same numbers until
// one of them is seeded (data loader workers are).
Generator& default_generator();

}  // namespace fastdl
