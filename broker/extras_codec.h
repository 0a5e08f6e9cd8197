// A stream's extras block of a snapshot (state_codec.h has its bytes): message ids, expiries, its schedule's log.
#pragma once

#include <string>
#include <vector>

#include "broker/dedup_table.h"
#include "broker/due_index.h"
#include "storage/bytes.h"
#include "storage/result.h"

namespace weir {

// Empty if there is nothing to say. `ids` may be null. Expiries of what is not live are left out.
std::string encode_extras(stream_id schedule, const dedup_table* ids, const due_index& expiring, const stream_log& log);

struct extras_record {
  stream_id schedule;  // 0: none
  std::vector<dedup_table::known> ids;
  std::vector<due_index::item> expiring;
};
// data_loss: not what encode_extras() wrote. Longer ones of a later version are read.
result<extras_record> decode_extras(byte_span bytes);

}  // namespace weir
