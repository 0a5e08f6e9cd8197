// Prints weir's files for a person: what stands where, and what cannot be read. Changes nothing.
#pragma once

#include <cstdint>
#include <memory>

#include "storage/disk.h"
#include "storage/record.h"

namespace weir {

struct dump_options {
  bool payloads = false;  // also show what a message carries
  bool records = true;    // one line a message; without: only entries and totals
};

// True: everything in it could be read.
result<bool> dump_segment(file& segment, const dump_options& options);

void print_record(const record_view& record, const dump_options& options);

}  // namespace weir
