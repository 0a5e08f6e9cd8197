// A disk in memory that behaves as badly as a real one may: what was not synced can be lost, in part or whole.
//
// One thread. A crash(seed) forgets: every 512-byte sector written since the last sync of its file independently may or
// may not have arrived, the last write may be torn at any byte, a size may or may not have grown; creations, links,
// renames and removals in a directory that was not synced since may or may not have happened. Open files of before a
// crash fail.
//
// Faults: any k-th operation of a class can be made to fail, once or from then on. A failed write leaves some prefix of
// its bytes. After a failed sync the unsynced bytes count as clean though only some of them are on the disk (what Linux
// does: the next sync says success), so reads show them until the crash.
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "storage/disk.h"

namespace weir {

class sim_disk final : public disk {
 public:
  sim_disk() = default;
  sim_disk(const sim_disk&) = delete;
  sim_disk& operator=(const sim_disk&) = delete;

  result<std::unique_ptr<file>> open(const std::string& path, mode how) override;
  bool exists(const std::string& path) override;
  result<void> make_dir(const std::string& path) override;
  result<std::vector<std::string>> list(const std::string& path) override;
  result<void> rename(const std::string& from, const std::string& to) override;
  result<void> remove(const std::string& path) override;
  result<void> link(const std::string& from, const std::string& to) override;
  result<uint64_t> names_of(const std::string& path) override;
  result<void> sync_dir(const std::string& path) override;
  result<uint64_t> free_bytes() override;

  // What a power cut leaves. Clears faults (not the capacity).
  void crash(uint64_t seed);
  // What a killed process leaves: everything written, and files of before fail. Clears faults.
  void restart();
  // Another disk with the same bytes, all of them durable. Open files stay with this one.
  std::unique_ptr<sim_disk> copy() const;

  enum class op : uint8_t { write, sync, name, read, change };  // change: write, sync or name
  // The k-th next operation of the class fails (1: the very next), and with `onwards` every one after it.
  void fail(op which, uint64_t k, bool onwards = false, errc code = errc::storage_failed);
  void heal() { faults_.clear(); }
  uint64_t count(op which) const { return counts_[static_cast<size_t>(which)]; }
  uint64_t failures() const { return failures_; }

  // False: a file system that has no room to give before it is written to.
  bool can_allocate = true;
  // False: names_of() says 1 whatever there is.
  bool counts_names = true;
  // Writes that grow the files beyond this many bytes in all fail with disk_full.
  void set_capacity(uint64_t bytes) { capacity_ = bytes; }
  uint64_t used() const;

  // Damage, to what is cached and to what is durable.
  void flip_bit(const std::string& path, uint64_t byte, unsigned bit);
  void overwrite(const std::string& path, uint64_t offset, byte_span bytes);
  void cut(const std::string& path, uint64_t size);
  std::vector<uint8_t> contents(const std::string& path) const;

 private:
  friend class sim_file;
  struct inode {
    std::vector<uint8_t> cached;
    std::vector<uint8_t> durable;
    std::vector<bool> dirty;  // by sector: cached bytes were not synced
    uint64_t counted = 0;     // by used(), under whichever name came first
  };
  using inode_ref = std::shared_ptr<inode>;
  struct name_space {
    std::map<std::string, inode_ref> files;
    std::set<std::string> dirs{""};
    bool operator==(const name_space&) const = default;
  };
  struct name_change {
    enum class kind : uint8_t { create, make_dir, rename, remove } what;
    std::string path;
    std::string to;
    inode_ref node;
  };
  struct last_write {
    inode_ref node;
    uint64_t offset = 0;
    uint64_t size = 0;
    std::vector<uint8_t> before;  // the range as it was, short where the file ended
    uint64_t size_before = 0;
  };
  struct fault {
    op which;
    uint64_t at;
    bool onwards;
    errc code;
  };

  result<void> count_and_fail(op which, const std::string& path);
  static bool apply(name_space& names, const name_change& change);
  void change_names(name_change change);
  result<void> write(const inode_ref& node, const std::string& path, uint64_t offset, byte_span from);
  result<void> sync(const inode_ref& node, const std::string& path);
  result<void> truncate(const inode_ref& node, const std::string& path, uint64_t size);
  void put(const inode_ref& node, uint64_t offset, byte_span from);
  void resize(inode& node, uint64_t size);
  void tear_last_write(std::mt19937_64& random);
  void lose_names(std::mt19937_64& random);
  static void lose_sectors(inode& node, std::mt19937_64& random);
  inode& at(const std::string& path) const;

  name_space names_;
  name_space durable_names_;
  std::vector<name_change> unsynced_names_;
  last_write last_write_;
  uint64_t boot_ = 0;  // files opened in an earlier one fail
  mutable uint64_t counting_ = 0;
  uint64_t capacity_ = std::numeric_limits<uint64_t>::max();
  uint64_t counts_[5] = {};
  uint64_t failures_ = 0;
  std::vector<fault> faults_;
  std::mt19937_64 fault_random_{1};
};

}  // namespace weir
