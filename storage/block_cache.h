// What was read from block files, kept for the next reader: decoded rows and runs of checked records, the least
// recently used going first; and the files, open.
//
// One a store, shard's thread only. An open file is taken out while a lane job uses it, so no two jobs share one.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "storage/block_reader.h"

namespace weir {

class block_cache {
 public:
  explicit block_cache(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // Null if it is not here (or has no names and they are wanted).
  std::shared_ptr<const row_group> find_group(uint64_t part, uint32_t group, bool with_names);
  void put_group(uint64_t part, uint32_t group, std::shared_ptr<const row_group> loaded);
  std::shared_ptr<const data_piece> find_piece(uint64_t part, uint32_t group, uint32_t piece);
  void put_piece(uint64_t part, uint32_t group, uint32_t piece, std::shared_ptr<const data_piece> loaded);

  // By block::file_uid. Null if there is none or another job has it: open another.
  std::unique_ptr<file> take_file(uint64_t uid);
  void give_file(uint64_t uid, std::unique_ptr<file> back);
  void forget_file(uint64_t uid);

  uint64_t bytes() const { return bytes_; }
  uint64_t bytes_max() const { return bytes_max_; }

 private:
  static constexpr size_t files_max = 128;

  struct key {
    uint64_t part;
    uint32_t group;
    uint32_t piece;
    bool operator==(const key&) const = default;
  };
  struct key_hash {
    size_t operator()(const key& of) const noexcept;
  };
  struct entry {
    key where;
    std::shared_ptr<const row_group> group;  // one of the two
    std::shared_ptr<const data_piece> piece;
    size_t bytes;
  };
  static constexpr uint32_t no_piece = ~uint32_t{0};

  const entry* find(const key& wanted);
  void put(entry made);

  uint64_t bytes_max_;
  uint64_t bytes_ = 0;
  std::list<entry> entries_;  // most recently used first
  std::unordered_map<key, std::list<entry>::iterator, key_hash> index_;
  std::list<std::pair<uint64_t, std::unique_ptr<file>>> files_;  // most recently used first
};

}  // namespace weir
