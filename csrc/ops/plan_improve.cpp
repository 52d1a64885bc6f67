// What a plan does better than the calls one by one. Calls that write only memory which nobody reads are left out, and
// neighbouring elementwise calls over the same elements run tile by tile, so that what one writes the next finds in the
// cache. Neither changes a bit of any result.
#include <algorithm>

#include "core/parallel.h"
#include "ops/plan.h"

namespace fastdl {

namespace {

using plan_detail::is_number;

// Bytes that will be read, as disjoint intervals.
class Bytes {
 public:
  void add(Extent e) {
    if (e.begin >= e.end) return;
    auto it = after(e.begin);
    while (it != map_.end() && it->first <= e.end) {
      e.begin = std::min(e.begin, it->first);
      e.end = std::max(e.end, it->second);
      it = map_.erase(it);
    }
    map_[e.begin] = e.end;
  }
  void remove(Extent e) {
    if (e.begin >= e.end) return;
    auto it = after(e.begin);
    while (it != map_.end() && it->first < e.end) {
      const Extent old{it->first, it->second};
      it = map_.erase(it);
      if (old.begin < e.begin) map_[old.begin] = e.begin;
      if (old.end > e.end) map_[e.end] = old.end;
    }
  }
  bool meets(Extent e) {
    const auto it = after(e.begin);
    return it != map_.end() && it->first < e.end && it->second > e.begin;
  }
  const std::map<const char*, const char*>& list() const { return map_; }

 private:
  // The first interval that ends at or behind p.
  std::map<const char*, const char*>::iterator after(const char* p) {
    auto it = map_.upper_bound(p);
    if (it != map_.begin() && std::prev(it)->second >= p) --it;
    return it;
  }
  std::map<const char*, const char*> map_;
};

}  // namespace

void Plan::improve() {
  drop_unread();
  fuse();
}

void Plan::drop_unread() {
  const auto described = [](const Info& i) { return i.host || i.operands.described; };
  if (!std::all_of(info_.begin(), info_.end(), described)) return;
  // At the end, what tensors still hold is read by whoever has them; what the calls read before they write it must
  // survive from one run to the next.
  Bytes at_end;
  memory_->for_each_block([&](const char* start, const PlanMemory::Block& b) {
    if (b.in_use) at_end.add({start, start + b.bytes});
  });
  std::vector<bool> needed(calls_.size(), true);
  for (bool again = true; again;) {
    Bytes live = at_end;
    for (size_t i = calls_.size(); i-- > 0;) {
      const Info& info = info_[i];
      if (info.host) continue;
      const auto& list = info.operands.list();
      needed[i] = info.changing || list.empty() || std::any_of(list.begin(), list.end(), [&](const auto& o) {
                    return o.written && (!memory_->block_of(o.view.data).first || live.meets(extent_of(o.view)));
                  });
      if (!needed[i]) continue;
      for (const auto& o : list)
        if (o.written && !o.read && o.view.contiguous()) live.remove(extent_of(o.view));
      for (const auto& o : list)
        if (o.read) live.add(extent_of(o.view));
    }
    const size_t before = at_end.list().size();
    const auto total = [](const Bytes& b) {
      size_t n = 0;
      for (const auto& [begin, end] : b.list()) n += static_cast<size_t>(end - begin);
      return n;
    };
    const size_t bytes_before = total(at_end);
    for (const auto& [begin, end] : live.list()) at_end.add({begin, end});
    again = at_end.list().size() != before || total(at_end) != bytes_before;
  }
  size_t kept = 0;
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (!needed[i]) continue;
    if (kept != i) {
      calls_[kept] = calls_[i];
      info_[kept] = std::move(info_[i]);
    }
    ++kept;
  }
  dropped_ = static_cast<int>(calls_.size() - kept);
  calls_.resize(kept);
  info_.resize(kept);
}

namespace {

constexpr int64_t kTile = 4096;                // elements
constexpr int64_t kLeast = 8 * kTile;          // smaller calls stay in the cache anyway
constexpr int64_t kTilesInATask = 8;

struct Group {
  struct Part {
    void (*run)(const Context&, const void*, int64_t, int64_t);
    const void* block;
  };
  Part* parts;
  int64_t count, elements;

  static void run(const Context& context, void* block) {
    const Group& g = *static_cast<const Group*>(block);
    parallel_for(g.elements, kTilesInATask * kTile, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; at += kTile)
        for (const Part *p = g.parts, *last = p + g.count; p != last; ++p)
          p->run(context, p->block, at, std::min(at + kTile, end));
    });
  }
};

// All operands dense in one order, or one number.
bool tiles(const Plan::Info& info) {
  if (!info.run_part || info.operands.list().empty()) return false;
  for (const auto& o : info.operands.list())
    if (!o.view.contiguous() && (o.written || !is_number(o.view))) return false;
  return true;
}

int64_t elements_of(const Plan::Info& info) { return info.operands.list().back().view.numel(); }

// Element i of one call depends on no other element of the other.
bool in_step(const Plan::Info& a, const Plan::Info& b) {
  for (const auto& x : a.operands.list())
    for (const auto& y : b.operands.list()) {
      if (!(x.written || y.written) || !extent_of(x.view).meets(extent_of(y.view))) continue;
      const bool numbers = is_number(x.view) || is_number(y.view);
      if (numbers || x.view.data != y.view.data || size_of(x.view.dtype) != size_of(y.view.dtype)) return false;
    }
  return true;
}

}  // namespace

void Plan::fuse() {
  size_t kept = 0;
  for (size_t i = 0; i < calls_.size();) {
    size_t end = i + 1;
    if (tiles(info_[i]) && elements_of(info_[i]) >= kLeast) {
      const auto joins = [&](size_t k) {
        if (!tiles(info_[k]) || elements_of(info_[k]) != elements_of(info_[i]) || !(info_[k].device == info_[i].device))
          return false;
        for (size_t j = i; j < k; ++j)
          if (!in_step(info_[j], info_[k])) return false;
        return true;
      };
      while (info_[i].device.is_cpu() && end < calls_.size() && joins(end)) ++end;
    }
    if (end - i > 1) {
      auto* parts = static_cast<Group::Part*>(allocate(sizeof(Group::Part) * (end - i), alignof(Group::Part)));
      Info all{"elementwise", info_[i].device, {}};
      for (size_t k = i; k < end; ++k) {
        parts[k - i] = {info_[k].run_part, calls_[k].block};
        all.operands.append(info_[k].operands);
      }
      all.fused = static_cast<int>(end - i);
      auto* group =
          new (allocate(sizeof(Group), alignof(Group))) Group{parts, static_cast<int64_t>(end - i), elements_of(info_[i])};
      calls_[kept] = {Group::run, group};
      info_[kept++] = std::move(all);
    } else {
      calls_[kept] = calls_[i];
      if (kept != i) info_[kept] = std::move(info_[i]);
      ++kept;
    }
    i = end;
  }
  calls_.resize(kept);
  info_.resize(kept);
}

}  // namespace fastdl
