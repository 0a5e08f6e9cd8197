#include "tools/publisher/record_source.h"

#include "tools/load/wire.h"
#include "tools/payload_hash.h"

namespace weir {
namespace {

// Field numbers of PublishBatch and PublishRecord.
constexpr uint32_t messages_field = 4, subject_field = 2, payload_field = 5;

}  // namespace

const frame_record* record_source::look(uint64_t at_ns) {
  if (held_) return &record_;
  if (!feed_.next(at_ns, payload_, record_.fed)) return nullptr;
  held_ = true;
  if (subject_field_.empty() || !feed_.has_one_subject()) {
    std::string subject;
    feed_.make_subject(record_.fed.number, subject);
    subject_field_.clear();
    put_text_field(subject_field, subject, subject_field_);
  }
  const size_t body = subject_field_.size() + 1 + varint_size(payload_.size()) + payload_.size();
  record_.bytes.clear();
  put_tag(messages_field, wire_type::with_length, record_.bytes);
  put_varint(body, record_.bytes);
  record_.bytes.append(subject_field_);
  put_text_field(payload_field, payload_, record_.bytes);
  record_.size = static_cast<uint32_t>(payload_.size());
  record_.hash = options_.verify ? payload_hash(payload_) : 0;
  return &record_;
}

}  // namespace weir
