// How many messages of each subject one consumer has out, for max_ack_pending_per_subject, and which it holds back.
//
// Owned by its consumer, used only if it has such a bound. Numbers subjects (from 1) while it has something of them. A
// message has a slot of its subject, or is held; what is held gets a slot in order of sequence.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/ids.h"

namespace weir {

class subject_room {
 public:
  // The subject's number. It stays while the subject has a slot taken or a message held.
  uint32_t number_of(std::string_view subject);
  // A new message of it may go out.
  bool has_room(uint32_t number, uint32_t slots_max) const {
    return lines_[number].taken < slots_max && lines_[number].held.empty();
  }
  void take(uint32_t number) { ++lines_[number].taken; }
  void hold(uint32_t number, seq_no seq) { lines_[number].held.insert(seq); }
  void give_back(uint32_t number);
  void drop_held(uint32_t number, seq_no seq);
  // The next one held that has room now; it has taken its slot.
  std::optional<seq_no> next_with_room(uint32_t number, uint32_t slots_max);
  // The same of every subject.
  std::vector<seq_no> all_with_room(uint32_t slots_max);
  // number_of() was asked in vain.
  void close_if_empty(uint32_t number);
  void clear();

 private:
  struct line {
    std::string_view name;  // of the key in numbers_
    uint32_t taken = 0;
    std::set<seq_no> held;
  };
  struct name_hash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>()(name); }
  };

  std::unordered_map<std::string, uint32_t, name_hash, std::equal_to<>> numbers_;
  std::vector<line> lines_{1};
  std::vector<uint32_t> free_;
};

}  // namespace weir
