#include "core/generator.h"

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <mutex>

#include "core/error.h"
#include "core/recording.h"

namespace fastdl {
namespace {

uint64_t entropy() {
  uint64_t x;
  if (getentropy(&x, sizeof x) == 0) return x;
  return static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
}

void check_not_recording(const char* op) {
  if (recording())
    throw CaptureError(str(op, ": the generator cannot be set inside a captured step, whose replays go on from its position"));
}

}  // namespace

PhiloxState Generator::reserve(uint64_t counters) {
  PhiloxState start;
  {
    const std::lock_guard guard(lock_);
    start = philox_;
    philox_.offset += counters;
  }
  if (FASTDL_UNLIKELY(recording() != nullptr)) recording()->drawn(*this, start, counters);
  return start;
}

void Generator::manual_seed(uint64_t seed) {
  check_not_recording("manual_seed");
  const std::lock_guard guard(lock_);
  philox_ = {seed, 0};
}

uint64_t Generator::seed() {
  const uint64_t seed = entropy();
  manual_seed(seed);
  return seed;
}

uint64_t Generator::initial_seed() const {
  const std::lock_guard guard(lock_);
  return philox_.seed;
}

Generator::State Generator::state() const {
  const std::lock_guard guard(lock_);
  State bytes;
  std::memcpy(bytes.data(), &philox_, bytes.size());
  return bytes;
}

void Generator::set_state(const State& state) {
  check_not_recording("set_state");
  const std::lock_guard guard(lock_);
  std::memcpy(&philox_, state.data(), state.size());
}

namespace {

// Made when the library is loaded and never destroyed, like the memory pool.
Generator* const generator = new Generator(entropy());
[[maybe_unused]] const int fork_handlers =
    pthread_atfork([] { generator->lock(); }, [] { generator->unlock(); }, [] { generator->unlock(); });

}  // namespace

Generator& default_generator() { return *generator; }

}  // namespace fastdl
