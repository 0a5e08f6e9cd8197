// The numbers of the log, each its own type.
#pragma once

#include "storage/strong.h"

namespace weir {

// Position of a message in its stream; the first is 1, 0 means "none". What the wire calls `seq`.
using seq_no = strong<struct seq_no_tag>;

// A stream on its shard, from the shard's own counter, never reused; 0 means "the shard itself". Names never become
// paths.
using stream_id = strong<struct stream_id_tag>;

// Byte position in a shard's endless journal. An entry's lsn is where it begins; "durable up to L" covers every entry
// that ends at or before L.
using lsn = strong<struct lsn_tag>;

}  // namespace weir
