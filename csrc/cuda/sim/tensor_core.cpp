#include "cuda/sim/tensor_core.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>

#include "cuda/device/convert.h"

namespace fastdl::cuda::sim {
namespace {

constexpr int kRowBytes = 128, kWarpgroup = 128, kDepth = 16;

bool late() {
  static const bool value = [] {
    const char* asked = std::getenv("FASTDL_SIM_ASYNC");
    return asked && !std::strcmp(asked, "late");
  }();
  return value;
}

float value_of(uint32_t bits, bool is_bf16) {
  const uint16_t low = static_cast<uint16_t>(bits);
  return is_bf16 ? to_float(bf16{low}) : to_float(f16{low});
}

// --- what a block has in flight ---

struct Load {
  Block* block;
  uint32_t to;
  TensorMap map;
  uint64_t* barrier;
  int x, y, z;
};

struct Store {
  unsigned thread;
  TensorMap map;
  const char* from;
  int x, y, z;
  bool committed;
};

// One wgmma of one warpgroup.
struct Product {
  uint64_t a, b;
  int n;
  bool accumulate, is_bf16, a_mn_major, b_mn_major;
  float* d[kWarpgroup];
  std::vector<float> before;  // of every thread
};

struct Warpgroup {
  Product arriving;
  unsigned arrived = 0, generation = 0;
  std::deque<Product> waiting;
  size_t done = 0;
};

struct Units {
  std::deque<Load> loads;
  std::deque<Store> stores;
  std::vector<std::vector<size_t>> store_groups;  // of every thread: the number of stores in each
  std::vector<Warpgroup> warpgroups;
};

Units& units(Block* block) {
  if (!block->extension) {
    auto* fresh = new Units;
    fresh->store_groups.resize(block->threads);
    fresh->warpgroups.resize((block->threads + kWarpgroup - 1) / kWarpgroup);
    block->extension = fresh;
    block->release_extension = [](Block* b) {
      delete static_cast<Units*>(b->extension);
      b->extension = nullptr;
      b->release_extension = nullptr;
    };
  }
  return *static_cast<Units*>(block->extension);
}

char* shared_memory(Block* block, uint32_t address, size_t bytes, const char* what) {
  if (address + bytes > block->shared_bytes)
    fail("%s: bytes %u to %zu are outside of the block's %zu bytes of shared memory", what, address, address + bytes,
         block->shared_bytes);
  return block->shared + address;
}

// Where the byte at `address` of a box lies: its row's 16-byte pieces are exchanged.
uint32_t swizzled(uint32_t address) { return address ^ (address >> 3 & 0x70); }

void perform(const PendingCopy& c) {
  std::memcpy(c.to, c.from, static_cast<size_t>(c.valid));
  std::memset(static_cast<char*>(c.to) + c.valid, 0, static_cast<size_t>(c.bytes - c.valid));
}

// --- mbarriers ---

struct Phases {
  uint16_t arrivals, missing;
  int32_t state;  // 2 * bytes that are awaited + parity of the current phase
};
static_assert(sizeof(Phases) == sizeof(uint64_t));

Phases& phases(uint64_t* barrier) { return *reinterpret_cast<Phases*>(barrier); }

void end_phase_if_complete(Phases& p) {
  if (p.missing != 0 || p.state >> 1 != 0) return;
  p.state ^= 1;
  p.missing = p.arrivals;
  progress();
}
void* order_of(uint64_t* barrier, int32_t state) { return reinterpret_cast<char*>(barrier) + (state & 1); }

void complete_bytes(uint64_t* barrier, int bytes) {
  Phases& p = phases(barrier);
  release_order(order_of(barrier, p.state));
  p.state -= 2 * bytes;
  end_phase_if_complete(p);
}

// --- boxes ---

// f(byte in shared memory, element in global memory or null, bytes) for every element of a box.
template <class F> void for_box(const TensorMap& map, uint32_t shared, int x, int y, int z, const F& f) {
  for (int64_t j = 0; j < map.box[1]; ++j)
    for (int64_t i = 0; i < map.box[0]; ++i) {
      const int64_t row = y + j, column = x + i;
      const bool inside = z >= 0 && z < map.size[2] && row >= 0 && row < map.size[1] && column >= 0 && column < map.size[0];
      const char* element = inside ? map.base + z * map.strides[1] + row * map.strides[0] + column * 2 : nullptr;
      f(swizzled(shared + static_cast<uint32_t>(j * kRowBytes + i * 2)), element);
    }
}

void perform(const Load& load) {
  for_box(load.map, load.to, load.x, load.y, load.z, [&](uint32_t at, const char* element) {
    if (element) std::memcpy(load.block->shared + at, element, 2);
    else std::memset(load.block->shared + at, 0, 2);
  });
  complete_bytes(load.barrier, static_cast<int>(load.map.box[0] * load.map.box[1] * 2));
}

void perform(Block* block, const Store& store) {
  for_box(store.map, shared_address(store.from), store.x, store.y, store.z, [&](uint32_t at, const char* element) {
    if (element) std::memcpy(const_cast<char*>(element), block->shared + at, 2);
  });
}

void check_box(const TensorMap& map, uint32_t address, const char* what) {
  if (address % 1024) fail("%s: shared address %u is no multiple of 1024", what, address);
  if (reinterpret_cast<uintptr_t>(map.base) % 16 || map.strides[0] % 16 || map.strides[1] % 16)
    fail("%s: the tensor's base or strides are no multiples of 16 bytes", what);
  if (map.box[0] * 2 != kRowBytes || map.box[1] < 1 || map.box[1] > 256)
    fail("%s: a box is 64 columns and 1 to 256 rows", what);
  shared_memory(this_thread->block, address, static_cast<size_t>(map.box[1] * kRowBytes), what);
}

// --- wgmma ---

// Element (r, k) of an operand, r along M or N.
float element(Block* block, uint64_t descriptor, int r, int k, bool mn_major, bool is_bf16) {
  const auto field = [&](int shift) { return static_cast<uint32_t>(descriptor >> shift & 0x3fff) << 4; };
  const uint32_t start = field(0), leading = field(16), eight_rows = field(32);
  const auto u = [](int x) { return static_cast<uint32_t>(x); };
  const uint32_t offset = mn_major ? u(r / 64) * leading + u(k / 8) * eight_rows + u(k % 8) * kRowBytes + u(r % 64) * 2
                                   : u(r / 8) * eight_rows + u(r % 8) * kRowBytes + u(k) * 2;
  uint16_t bits;
  std::memcpy(&bits, shared_memory(block, swizzled(start + offset), 2, "wgmma operand"), 2);
  return value_of(bits, is_bf16);
}

std::vector<float> run(Block* block, const Product& p) {
  const int registers = p.n / 2;
  std::vector<float> a(64 * kDepth), b(kDepth * static_cast<size_t>(p.n)), sums(64 * static_cast<size_t>(p.n)), d(p.before);
  for (int r = 0; r < 64; ++r)
    for (int k = 0; k < kDepth; ++k) a[r * kDepth + k] = element(block, p.a, r, k, p.a_mn_major, p.is_bf16);
  for (int c = 0; c < p.n; ++c)
    for (int k = 0; k < kDepth; ++k) b[k * p.n + c] = element(block, p.b, c, k, p.b_mn_major, p.is_bf16);
  for (int r = 0; r < 64; ++r)
    for (int k = 0; k < kDepth; ++k)
      for (int c = 0; c < p.n; ++c) sums[r * p.n + c] += a[r * kDepth + k] * b[k * p.n + c];
  for (int t = 0; t < kWarpgroup; ++t)
    for (int i = 0; i < registers; ++i) {
      const int row = t / 32 * 16 + t % 32 / 4 + (i >> 1 & 1) * 8, column = i / 4 * 8 + t % 4 * 2 + (i & 1);
      float& out = d[t * registers + i];
      out = (p.accumulate ? out : 0) + sums[row * p.n + column];
    }
  return d;
}

void write_sums(const Product& p, const float* values) {  // NaN without values
  const int registers = p.n / 2;
  for (int t = 0; t < kWarpgroup; ++t)
    for (int i = 0; i < registers; ++i) p.d[t][i] = values ? values[t * registers + i] : NAN;
}

// The oldest product; what comes next in the same registers starts from its sums.
void run_oldest(Block* block, Warpgroup& group) {
  const Product p = std::move(group.waiting.front());
  group.waiting.pop_front();
  ++group.done;
  std::vector<float> sums = run(block, p);
  for (Product& next : group.waiting)
    if (next.d[0] == p.d[0]) {
      next.before = std::move(sums);
      return;
    }
  write_sums(p, sums.data());
}

}  // namespace

uint32_t shared_address(const void* p) {
  const Block* b = this_thread->block;
  const auto offset = static_cast<size_t>(static_cast<const char*>(p) - b->shared);
  if (offset >= b->shared_bytes) fail("address %p is not in the block's shared memory", p);
  return static_cast<uint32_t>(offset);
}

void async_copy(void* to, const void* from, int bytes, int valid) {
  const Quiet quiet;
  const auto size = static_cast<uintptr_t>(bytes);
  if (shared_address(to) % size || (valid > 0 && reinterpret_cast<uintptr_t>(from) % size))
    fail("async_copy: addresses %p and %p are no multiples of %d", to, from, bytes);
  const PendingCopy copy{to, from, bytes, valid};
  if (!late()) return perform(copy);
  std::memset(to, 0xFF, size);
  this_thread->copies.push_back(copy);
}
void async_copy_commit() {
  const Quiet quiet;
  this_thread->copy_groups.push_back(this_thread->copies.size());
}
void async_copy_wait(size_t pending) {
  const Quiet quiet;
  auto& groups = this_thread->copy_groups;
  auto& copies = this_thread->copies;
  if (groups.size() <= pending) return;
  const size_t done = groups[groups.size() - 1 - pending];
  for (size_t i = 0; i < done; ++i) perform(copies[i]);
  copies.erase(copies.begin(), copies.begin() + static_cast<ptrdiff_t>(done));
  groups.erase(groups.begin(), groups.end() - static_cast<ptrdiff_t>(pending));
  for (size_t& g : groups) g -= done;
}

void load_matrices(uint32_t (&r)[4], const void* row, bool transposed) {
  const Quiet quiet;
  if (shared_address(row) % 16) fail("load_matrices: row %p is no multiple of 16 bytes", row);
  unsigned char values[16];
  std::memcpy(values, row, 16);
  const LaneValues rows = exchange(~0u, values, 16, "load_matrices", true);
  const unsigned g = this_thread->lane / 4, t = this_thread->lane % 4;
  for (unsigned i = 0; i < 4; ++i) {
    const auto at = [&](unsigned j, unsigned k) {
      uint16_t bits;
      std::memcpy(&bits, rows[8 * i + j] + 2 * k, 2);
      return uint32_t{bits};
    };
    r[i] = transposed ? at(2 * t, g) | at(2 * t + 1, g) << 16 : at(g, 2 * t) | at(g, 2 * t + 1) << 16;
  }
}

void multiply_add_16(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], bool is_bf16) {
  const Quiet quiet;
  const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const LaneValues lanes = exchange(~0u, mine, sizeof mine, "multiply_add");
  const auto half = [&](unsigned lane, unsigned index, unsigned odd) {
    uint32_t word;
    std::memcpy(&word, lanes[lane] + 4 * index, 4);
    return value_of(word >> 16 * odd, is_bf16);
  };
  const unsigned g = this_thread->lane / 4, t = this_thread->lane % 4;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = g + 8 * (i / 2), column = 2 * t + i % 2;
    float sum = 0;
    for (unsigned k = 0; k < 16; ++k)
      sum += half(row % 8 * 4 + k % 8 / 2, row / 8 + k / 8 * 2, k % 2) * half(column * 4 + k % 8 / 2, 4 + k / 8, k % 2);
    sums[i] += sum;
  }
}

uint32_t to_tf32(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return (bits & 0x7fffffff) >= 0x7f800000 ? bits : (bits + 0x1000) & ~0x1fffu;
}

void multiply_add_tf32(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const Quiet quiet;
  const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const LaneValues lanes = exchange(~0u, mine, sizeof mine, "multiply_add_tf32");
  const auto word = [&](unsigned lane, unsigned index) {
    uint32_t bits;
    std::memcpy(&bits, lanes[lane] + 4 * index, 4);
    return std::bit_cast<float>(bits & ~0x1fffu);
  };
  const unsigned g = this_thread->lane / 4, t = this_thread->lane % 4;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = g + 8 * (i / 2), column = 2 * t + i % 2;
    float sum = 0;
    for (unsigned k = 0; k < 8; ++k)
      sum += word(row % 8 * 4 + k % 4, row / 8 + k / 4 * 2) * word(column * 4 + k % 4, 4 + k / 4);
    sums[i] += sum;
  }
}

void mbarrier_init(uint64_t* barrier, unsigned arrivals) {
  const Quiet quiet;
  if (shared_address(barrier) % 8) fail("mbarrier %p is no multiple of 8 bytes", static_cast<void*>(barrier));
  phases(barrier) = {static_cast<uint16_t>(arrivals), static_cast<uint16_t>(arrivals), 0};
}
void mbarrier_arrive(uint64_t* barrier, unsigned bytes) {
  const Quiet quiet;
  Phases& p = phases(barrier);
  release_order(order_of(barrier, p.state));
  if (p.missing == 0) fail("mbarrier: more arrivals than the %u that it was made for", p.arrivals);
  p.state += static_cast<int32_t>(2 * bytes);
  --p.missing;
  end_phase_if_complete(p);
}
void mbarrier_wait(uint64_t* barrier, unsigned parity) {
  const Quiet quiet;
  constexpr int kPatience = 2;  // turns, in which others may look at what has not arrived
  std::deque<Load>& loads = units(this_thread->block).loads;
  for (int turns = 0; static_cast<unsigned>(phases(barrier).state & 1) == parity; ++turns) {
    const auto mine = std::find_if(loads.begin(), loads.end(), [&](const Load& l) { return l.barrier == barrier; });
    if (turns > kPatience && mine != loads.end()) {
      const Load load = *mine;
      loads.erase(mine);
      perform(load);
      continue;
    }
    yield("mbarrier_wait");
  }
  acquire_order(reinterpret_cast<char*>(barrier) + parity);
}

void tensor_load(void* to, const TensorMap& map, uint64_t* barrier, int x, int y, int z) {
  const Quiet quiet;
  Block* block = this_thread->block;
  const uint32_t address = shared_address(to);
  check_box(map, address, "tensor_load");
  const Load load{block, address, map, barrier, x, y, z};
  if (!late()) return perform(load);
  std::memset(to, 0xFF, static_cast<size_t>(map.box[1] * kRowBytes));
  units(block).loads.push_back(load);
}
void tensor_store(const TensorMap& map, const void* from, int x, int y, int z) {
  const Quiet quiet;
  Block* block = this_thread->block;
  check_box(map, shared_address(from), "tensor_store");
  const Store store{this_thread->linear, map, static_cast<const char*>(from), x, y, z, false};
  if (late()) units(block).stores.push_back(store);
  else perform(block, store);
}
void tensor_store_commit() {
  const Quiet quiet;
  Units& u = units(this_thread->block);
  size_t count = 0;
  for (Store& s : u.stores)
    if (s.thread == this_thread->linear && !s.committed) s.committed = true, ++count;
  u.store_groups[this_thread->linear].push_back(count);
}
void tensor_store_wait(size_t pending) {
  const Quiet quiet;
  Units& u = units(this_thread->block);
  auto& groups = u.store_groups[this_thread->linear];
  while (groups.size() > pending) {
    for (size_t i = 0; i < groups.front(); ++i) {
      const auto oldest =
          std::find_if(u.stores.begin(), u.stores.end(), [](const Store& s) { return s.thread == this_thread->linear; });
      perform(this_thread->block, *oldest);
      u.stores.erase(oldest);
    }
    groups.erase(groups.begin());
  }
}

void product(float* d, int n, uint64_t a, uint64_t b, bool accumulate, bool is_bf16, bool a_mn_major, bool b_mn_major) {
  const Quiet quiet;
  Block* block = this_thread->block;
  Warpgroup& group = units(block).warpgroups[this_thread->linear / kWarpgroup];
  Product& p = group.arriving;
  if (group.arrived == 0) {
    p.a = a, p.b = b, p.n = n, p.accumulate = accumulate;
    p.is_bf16 = is_bf16, p.a_mn_major = a_mn_major, p.b_mn_major = b_mn_major;
  } else if (p.a != a || p.b != b || p.n != n || p.accumulate != accumulate) {
    fail("wgmma: the warpgroup's threads disagree on the operands");
  }
  p.d[this_thread->linear % kWarpgroup] = d;
  ++this_thread->products_issued;
  if (++group.arrived < kWarpgroup) return sleep_on(group.generation, "wgmma");
  group.arrived = 0;
  ++group.generation;
  progress();
  const int registers = n / 2;
  p.before.resize(kWarpgroup * static_cast<size_t>(registers));
  for (int t = 0; t < kWarpgroup; ++t)
    std::memcpy(&p.before[static_cast<size_t>(t * registers)], p.d[t], sizeof(float) * registers);
  if (!late()) {
    ++group.done;
    return write_sums(p, run(block, p).data());
  }
  group.waiting.push_back(p);
  write_sums(p, nullptr);
}
void product_commit() {
  const Quiet quiet;
  this_thread->product_groups.push_back(this_thread->products_issued);
}
void product_wait(size_t pending) {
  const Quiet quiet;
  Block* block = this_thread->block;
  Warpgroup& group = units(block).warpgroups[this_thread->linear / kWarpgroup];
  auto& groups = this_thread->product_groups;
  if (groups.size() <= pending) return;
  const size_t last = groups[groups.size() - 1 - pending];
  groups.erase(groups.begin(), groups.end() - static_cast<ptrdiff_t>(pending));
  while (group.done < last && !group.waiting.empty()) run_oldest(block, group);
}

}  // namespace fastdl::cuda::sim
