#include "tests/sim/sim_disk.h"

#include <algorithm>

namespace weir {
namespace {

constexpr uint64_t sector_size = 512;

uint64_t sectors_of(uint64_t size) {
  return (size + sector_size - 1) / sector_size;
}

error no_such(const std::string& path) {
  return fail(errc::storage_failed, "cannot open " + path + ": No such file or directory");
}

bool coin(std::mt19937_64& random) {
  return (random() & 1) != 0;
}

uint64_t below(std::mt19937_64& random, uint64_t bound) {
  return random() % bound;
}

}  // namespace

class sim_file final : public file {
 public:
  sim_file(sim_disk& owner, sim_disk::inode_ref node, std::string path, disk::mode how)
      : owner_(owner), node_(std::move(node)), path_(std::move(path)), boot_(owner.boot_), how_(how) {}

  result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) override {
    auto fine = usable(true);
    if (fine) fine = owner_.count_and_fail(sim_disk::op::read, path_);
    if (!fine) return fine.err();
    const auto& bytes = node_->cached;
    if (offset >= bytes.size()) return size_t{0};
    size_t size = std::min<size_t>(into.size(), bytes.size() - offset);
    std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset), size, into.begin());
    return size;
  }
  result<void> write_at(uint64_t offset, byte_span from) override {
    constexpr size_t page = disk::page_bytes;
    auto fine = usable(how_ != disk::mode::read);
    if (fine && how_ == disk::mode::pages) {
      const bool whole =
          offset % page == 0 && from.size() % page == 0 && reinterpret_cast<uintptr_t>(from.data()) % page == 0;
      if (!whole) return weir::fail(errc::storage_failed, "cannot write " + path_ + ": Invalid argument");
    }
    if (!fine || how_ != disk::mode::onwards) return fine ? owner_.write(node_, path_, offset, from) : fine;
    std::vector<uint8_t> whole(from.begin(), from.end());
    whole.resize((offset + from.size() + page - 1) / page * page - offset);
    return owner_.write(node_, path_, offset, whole);
  }
  result<void> sync() override {
    auto fine = usable(true);
    return fine ? owner_.sync(node_, path_) : fine;
  }
  result<uint64_t> size() override {
    auto fine = usable(true);
    if (!fine) return fine.err();
    return uint64_t{node_->cached.size()};
  }
  result<void> truncate(uint64_t size) override {
    auto fine = usable(how_ != disk::mode::read);
    return fine ? owner_.truncate(node_, path_, size) : fine;
  }
  result<bool> allocate(uint64_t bytes) override {
    if (!owner_.can_allocate) return false;
    auto grown = node_->cached.size() < bytes ? truncate(bytes) : ok();
    if (!grown) return grown.err();
    return true;
  }

 private:
  result<void> usable(bool allowed) const {
    if (boot_ != owner_.boot_) return fail(errc::storage_failed, path_ + ": opened before the crash");
    if (!allowed) return fail(errc::storage_failed, "cannot write " + path_ + ": Bad file descriptor");
    return ok();
  }

  sim_disk& owner_;
  sim_disk::inode_ref node_;
  std::string path_;
  uint64_t boot_;
  disk::mode how_;
};

// Faults

void sim_disk::fail(op which, uint64_t k, bool onwards, errc code) {
  faults_.push_back(fault{which, count(which) + k, onwards, code});
}

result<void> sim_disk::count_and_fail(op which, const std::string& path) {
  ++counts_[static_cast<size_t>(which)];
  if (which != op::read) ++counts_[static_cast<size_t>(op::change)];
  for (const fault& each : faults_) {
    bool counts = each.which == which || (each.which == op::change && which != op::read);
    uint64_t now = count(each.which);
    if (!counts || now < each.at || (now > each.at && !each.onwards)) continue;
    ++failures_;
    return weir::fail(each.code, "simulated fault at " + path);
  }
  return ok();
}

// Names

bool sim_disk::apply(name_space& names, const name_change& change) {
  if (!names.dirs.contains(parent_of(change.path))) return false;
  switch (change.what) {
    case name_change::kind::create:
      names.files[change.path] = change.node;
      return true;
    case name_change::kind::make_dir:
      return names.dirs.insert(change.path).second;
    case name_change::kind::remove:
      return names.files.erase(change.path) + names.dirs.erase(change.path) != 0;
    case name_change::kind::rename: {
      auto found = names.files.find(change.path);
      if (found == names.files.end() || !names.dirs.contains(parent_of(change.to))) return false;
      inode_ref node = found->second;
      names.files.erase(found);
      names.files[change.to] = node;
      return true;
    }
  }
  return false;
}

void sim_disk::change_names(name_change change) {
  apply(names_, change);
  unsynced_names_.push_back(std::move(change));
}

result<std::unique_ptr<file>> sim_disk::open(const std::string& path, mode how) {
  auto found = names_.files.find(path);
  if (how != mode::create) {
    if (found == names_.files.end()) return no_such(path);
    return std::unique_ptr<file>(std::make_unique<sim_file>(*this, found->second, path, how));
  }
  auto counted = count_and_fail(op::name, path);
  if (!counted) return counted.err();
  if (found != names_.files.end()) return weir::fail(errc::storage_failed, "cannot open " + path + ": File exists");
  if (!names_.dirs.contains(parent_of(path))) return no_such(path);
  auto node = std::make_shared<inode>();
  change_names(name_change{name_change::kind::create, path, {}, node});
  return std::unique_ptr<file>(std::make_unique<sim_file>(*this, node, path, how));
}

bool sim_disk::exists(const std::string& path) {
  return names_.files.contains(path) || names_.dirs.contains(path);
}

result<void> sim_disk::make_dir(const std::string& path) {
  if (names_.dirs.contains(path)) return ok();
  if (names_.files.contains(path)) {
    return weir::fail(errc::storage_failed, "cannot make directory " + path + ": Not a directory");
  }
  auto parent = make_dir(parent_of(path));
  if (!parent) return parent;
  auto counted = count_and_fail(op::name, path);
  if (!counted) return counted;
  change_names(name_change{name_change::kind::make_dir, path, {}, nullptr});
  return ok();
}

result<std::vector<std::string>> sim_disk::list(const std::string& path) {
  if (!names_.dirs.contains(path)) return no_such(path);
  std::vector<std::string> names;
  size_t skip = path.empty() ? 0 : path.size() + 1;
  for (const auto& [name, node] : names_.files) {
    if (parent_of(name) == path) names.push_back(name.substr(skip));
  }
  for (const auto& name : names_.dirs) {
    if (!name.empty() && parent_of(name) == path) names.push_back(name.substr(skip) + "/");
  }
  std::sort(names.begin(), names.end());
  return names;
}

result<void> sim_disk::rename(const std::string& from, const std::string& to) {
  auto counted = count_and_fail(op::name, from);
  if (!counted) return counted;
  name_change change{name_change::kind::rename, from, to, nullptr};
  name_space tried = names_;
  if (!apply(tried, change)) return no_such(from);
  change_names(std::move(change));
  return ok();
}

result<void> sim_disk::remove(const std::string& path) {
  auto counted = count_and_fail(op::name, path);
  if (!counted) return counted;
  if (!exists(path)) return no_such(path);
  if (names_.dirs.contains(path) && !list(path)->empty()) {
    return weir::fail(errc::storage_failed, "cannot remove " + path + ": Directory not empty");
  }
  change_names(name_change{name_change::kind::remove, path, {}, nullptr});
  return ok();
}

result<void> sim_disk::link(const std::string& from, const std::string& to) {
  auto counted = count_and_fail(op::name, to);
  if (!counted) return counted;
  auto found = names_.files.find(from);
  if (found == names_.files.end() || !names_.dirs.contains(parent_of(to))) return no_such(from);
  if (exists(to)) return weir::fail(errc::storage_failed, "cannot link " + to + ": File exists");
  change_names(name_change{name_change::kind::create, to, {}, found->second});
  return ok();
}

result<uint64_t> sim_disk::names_of(const std::string& path) {
  auto found = names_.files.find(path);
  if (found == names_.files.end()) return no_such(path);
  if (!counts_names) return uint64_t{1};
  uint64_t names = 0;
  for (const auto& [name, node] : names_.files) names += node == found->second ? 1 : 0;
  return names;
}

result<void> sim_disk::sync_dir(const std::string& path) {
  auto counted = count_and_fail(op::sync, path);
  if (!counted) return counted;
  if (!names_.dirs.contains(path)) return no_such(path);
  std::vector<name_change> rest;
  for (auto& change : unsynced_names_) {
    bool here =
        parent_of(change.path) == path || (change.what == name_change::kind::rename && parent_of(change.to) == path);
    if (here) {
      apply(durable_names_, change);
    } else {
      rest.push_back(std::move(change));
    }
  }
  unsynced_names_ = std::move(rest);
  return ok();
}

// Bytes

uint64_t sim_disk::used() const {
  ++counting_;
  uint64_t total = 0;
  for (const auto& [name, node] : names_.files) {
    if (std::exchange(node->counted, counting_) != counting_) total += node->cached.size();
  }
  return total;
}

result<uint64_t> sim_disk::free_bytes() {
  uint64_t taken = used();
  return taken < capacity_ ? capacity_ - taken : 0;
}

void sim_disk::resize(inode& node, uint64_t size) {
  uint64_t old = node.cached.size();
  node.cached.resize(size);
  node.dirty.resize(sectors_of(std::max(size, uint64_t{node.durable.size()})));
  for (uint64_t sector = std::min(old, size) / sector_size; sector < node.dirty.size(); ++sector) {
    node.dirty[sector] = true;
  }
}

void sim_disk::put(const inode_ref& node, uint64_t offset, byte_span from) {
  if (from.empty()) return;
  uint64_t end = offset + from.size();
  last_write_ = last_write{node, offset, from.size(), {}, node->cached.size()};
  if (offset < node->cached.size()) {
    auto begin = node->cached.begin() + static_cast<ptrdiff_t>(offset);
    last_write_.before.assign(begin,
                              begin + static_cast<ptrdiff_t>(std::min(from.size(), node->cached.size() - offset)));
  }
  if (end > node->cached.size()) resize(*node, end);
  std::copy(from.begin(), from.end(), node->cached.begin() + static_cast<ptrdiff_t>(offset));
  for (uint64_t sector = offset / sector_size; sector < sectors_of(end); ++sector) node->dirty[sector] = true;
}

result<void> sim_disk::write(const inode_ref& node, const std::string& path, uint64_t offset, byte_span from) {
  auto counted = count_and_fail(op::write, path);
  uint64_t end = offset + from.size();
  uint64_t growth = end > node->cached.size() ? end - node->cached.size() : 0;
  if (counted && growth > 0 && growth > *free_bytes()) {
    counted = weir::fail(errc::disk_full, "cannot write " + path + ": No space left on device");
    if (*free_bytes() < growth) from = from.first(from.size() - std::min<size_t>(from.size(), growth - *free_bytes()));
    put(node, offset, from);
    return counted;
  }
  if (!counted) {
    put(node, offset, from.first(below(fault_random_, from.size() + 1)));
    return counted;
  }
  put(node, offset, from);
  return ok();
}

result<void> sim_disk::sync(const inode_ref& node, const std::string& path) {
  auto counted = count_and_fail(op::sync, path);
  if (last_write_.node == node) last_write_ = {};
  if (!counted) {
    lose_sectors(*node, fault_random_);  // decides what reached the disk; the cache keeps showing everything
    return counted;
  }
  uint64_t size = node->cached.size();
  node->durable.resize(size);
  for (uint64_t sector = 0; sector < sectors_of(size); ++sector) {
    if (!node->dirty[sector]) continue;
    auto from = static_cast<ptrdiff_t>(sector * sector_size);
    auto to = static_cast<ptrdiff_t>(std::min(size, (sector + 1) * sector_size));
    std::copy(node->cached.begin() + from, node->cached.begin() + to, node->durable.begin() + from);
  }
  node->dirty.assign(sectors_of(size), false);
  return ok();
}

result<void> sim_disk::truncate(const inode_ref& node, const std::string& path, uint64_t size) {
  auto counted = count_and_fail(op::write, path);
  if (!counted) return counted;
  if (size > node->cached.size() && size - node->cached.size() > *free_bytes()) {
    return weir::fail(errc::disk_full, "cannot truncate " + path + ": No space left on device");
  }
  if (last_write_.node == node) last_write_ = {};
  resize(*node, size);
  return ok();
}

// Power

void sim_disk::tear_last_write(std::mt19937_64& random) {
  last_write torn = std::exchange(last_write_, {});
  if (!torn.node || coin(random)) return;
  inode& node = *torn.node;
  uint64_t kept = below(random, torn.size + 1);
  for (uint64_t i = kept; i < torn.before.size(); ++i) node.cached[torn.offset + i] = torn.before[i];
  uint64_t size = std::max(torn.size_before, torn.offset + kept);
  if (size < node.cached.size()) resize(node, size);
}

// Each dirty sector goes to the disk or not; afterwards none is dirty.
void sim_disk::lose_sectors(inode& node, std::mt19937_64& random) {
  uint64_t size = node.durable.size();
  if (size != node.cached.size()) {
    uint64_t choice = below(random, 3);
    uint64_t low = std::min<uint64_t>(size, node.cached.size());
    uint64_t high = std::max<uint64_t>(size, node.cached.size());
    if (choice == 1) size = node.cached.size();
    if (choice == 2) size = low + below(random, high - low + 1);
  }
  node.durable.resize(size);
  uint64_t bias = below(random, 3);  // mostly kept, mostly lost, or even
  for (uint64_t sector = 0; sector < node.dirty.size(); ++sector) {
    if (!node.dirty[sector]) continue;
    bool kept = bias == 0 ? below(random, 16) != 0 : bias == 1 ? below(random, 16) == 0 : coin(random);
    uint64_t from = sector * sector_size;
    uint64_t to = std::min({(sector + 1) * sector_size, uint64_t{node.cached.size()}, size});
    for (uint64_t i = from; kept && i < to; ++i) node.durable[i] = node.cached[i];
  }
  node.dirty.assign(sectors_of(node.cached.size()), false);
}

// Either some first changes happened, or each by itself (one that needs a lost one is lost as well).
void sim_disk::lose_names(std::mt19937_64& random) {
  bool in_order = coin(random);
  uint64_t kept = below(random, unsynced_names_.size() + 1);
  for (uint64_t i = 0; i < unsynced_names_.size(); ++i) {
    if (in_order ? i < kept : coin(random)) apply(durable_names_, unsynced_names_[i]);
  }
  unsynced_names_.clear();
  std::erase_if(durable_names_.files,
                [&](const auto& each) { return !durable_names_.dirs.contains(parent_of(each.first)); });
}

void sim_disk::crash(uint64_t seed) {
  std::mt19937_64 random(seed);
  tear_last_write(random);
  lose_names(random);
  names_ = durable_names_;
  for (auto& [name, node] : names_.files) {
    lose_sectors(*node, random);
    node->cached = node->durable;
    node->dirty.assign(sectors_of(node->cached.size()), false);
  }
  ++boot_;
  faults_.clear();
}

void sim_disk::restart() {
  ++boot_;
  faults_.clear();
}

std::unique_ptr<sim_disk> sim_disk::copy() const {
  auto made = std::make_unique<sim_disk>();
  made->names_.dirs = names_.dirs;
  std::map<inode_ref, inode_ref> twins;
  for (const auto& [name, node] : names_.files) {
    inode_ref& twin = twins[node];
    made->names_.files[name] = twin ? twin : (twin = std::make_shared<inode>());
    twin->cached = node->cached;
    twin->durable = node->cached;
    twin->dirty.assign(sectors_of(node->cached.size()), false);
  }
  made->durable_names_ = made->names_;
  made->capacity_ = capacity_;
  return made;
}

// Damage

sim_disk::inode& sim_disk::at(const std::string& path) const {
  auto found = names_.files.find(path);
  WEIR_CHECK(found != names_.files.end());
  return *found->second;
}

void sim_disk::flip_bit(const std::string& path, uint64_t byte, unsigned bit) {
  inode& node = at(path);
  auto mask = static_cast<uint8_t>(1u << bit);
  if (byte < node.cached.size()) node.cached[byte] ^= mask;
  if (byte < node.durable.size()) node.durable[byte] ^= mask;
}

void sim_disk::overwrite(const std::string& path, uint64_t offset, byte_span bytes) {
  inode& node = at(path);
  WEIR_CHECK(offset + bytes.size() <= node.cached.size());
  std::copy(bytes.begin(), bytes.end(), node.cached.begin() + static_cast<ptrdiff_t>(offset));
  for (uint64_t i = 0; i < bytes.size() && offset + i < node.durable.size(); ++i) node.durable[offset + i] = bytes[i];
}

void sim_disk::cut(const std::string& path, uint64_t size) {
  inode& node = at(path);
  WEIR_CHECK(size <= node.cached.size());
  node.cached.resize(size);
  if (size < node.durable.size()) node.durable.resize(size);
  node.dirty.resize(sectors_of(size));
}

std::vector<uint8_t> sim_disk::contents(const std::string& path) const {
  return at(path).cached;
}

}  // namespace weir
