#include "broker/subject_room.h"

#include "storage/check.h"

namespace weir {

uint32_t subject_room::number_of(std::string_view subject) {
  if (const auto at = numbers_.find(subject); at != numbers_.end()) return at->second;
  uint32_t number = 0;
  if (free_.empty()) {
    number = static_cast<uint32_t>(lines_.size());
    lines_.emplace_back();
  } else {
    number = free_.back();
    free_.pop_back();
  }
  const auto added = numbers_.emplace(subject, number).first;
  lines_[number].name = added->first;
  return number;
}

void subject_room::close_if_empty(uint32_t number) {
  line& one = lines_[number];
  if (one.taken != 0 || !one.held.empty() || one.name.empty()) return;
  numbers_.erase(numbers_.find(one.name));
  one.name = {};
  free_.push_back(number);
}

void subject_room::give_back(uint32_t number) {
  WEIR_CHECK(lines_[number].taken != 0);
  --lines_[number].taken;
  close_if_empty(number);
}

void subject_room::drop_held(uint32_t number, seq_no seq) {
  lines_[number].held.erase(seq);
  close_if_empty(number);
}

std::optional<seq_no> subject_room::next_with_room(uint32_t number, uint32_t slots_max) {
  line& one = lines_[number];
  if (one.held.empty() || one.taken >= slots_max) return std::nullopt;
  const seq_no seq = *one.held.begin();
  one.held.erase(one.held.begin());
  ++one.taken;
  return seq;
}

std::vector<seq_no> subject_room::all_with_room(uint32_t slots_max) {
  std::vector<seq_no> all;
  for (uint32_t number = 1; number < lines_.size(); ++number) {
    while (const auto seq = next_with_room(number, slots_max)) all.push_back(*seq);
  }
  return all;
}

void subject_room::clear() {
  numbers_.clear();
  lines_.assign(1, line());
  free_.clear();
}

}  // namespace weir
