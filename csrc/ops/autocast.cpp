#include "ops/autocast.h"

#include <unordered_map>

#include "ops/ops.h"

namespace fastdl::autocast {

namespace {

// A parameter's cast, for as long as the parameter has the memory and the version that were cast. Without a history
// (made under no_grad) it serves only where none is asked for.
struct CachedCast {
  Tensor parameter, result;
  const void* data;
  uint32_t version;
  bool recorded;
  bool serves(const Tensor& t, DType dtype) const {
    return result.dtype() == dtype && data == t.data() && version == t.version() && recorded == grad_enabled();
  }
};

struct Region {
  Settings settings[2] = {{false, DType::bf16}, {false, DType::f16}};
  bool cache_enabled = true;
  int depth = 0;
  std::unordered_map<const TensorImpl*, CachedCast> cache;
};

thread_local bool tls_active = false;
thread_local Region tls_region;

}  // namespace

Settings& settings(DeviceType device) { return tls_region.settings[static_cast<int>(device)]; }
bool& cache_enabled() { return tls_region.cache_enabled; }
bool active() { return tls_active; }
void clear_cache() { tls_region.cache.clear(); }

void enter() {
  ++tls_region.depth;
  tls_active = tls_region.settings[0].enabled || tls_region.settings[1].enabled;
}

void leave() {
  if (--tls_region.depth == 0) clear_cache();
  tls_active = tls_region.settings[0].enabled || tls_region.settings[1].enabled;
}

DType lower_dtype(Device device) { return settings(device.type).dtype; }

DType widest_dtype(DType a, const Tensor& t) {
  if (!t.defined() || !is_floating(t.dtype()) || t.is_wrapped_number()) return a;
  return is_floating(a) ? promote(a, t.dtype()) : t.dtype();
}

Tensor cast(const Tensor& t, DType dtype) {
  if (t.dtype() == dtype) return t;
  const bool parameter = t.dtype() == DType::f32 && t.is_leaf() && t.requires_grad() && !t.impl()->base;
  if (!parameter || !tls_region.cache_enabled) return ops::to_dtype(t, dtype);
  CachedCast& cached = tls_region.cache[t.impl()];
  if (!cached.parameter.defined() || !cached.serves(t, dtype))
    cached = {t, ops::to_dtype(t, dtype), t.data(), t.version(), grad_enabled()};
  return cached.result;
}

}  // namespace fastdl::autocast
