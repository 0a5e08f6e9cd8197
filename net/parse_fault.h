// Why bytes are not a message: the sentence a client gets instead of protobuf's bare "no".
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>

#include "storage/bytes.h"

namespace weir {

// For bytes that did not parse as such a message: names the message and, where it can tell, the field and the fault
// (text that is not UTF-8, bytes that end too early). Slow; garbage is its normal input.
std::string parse_fault(byte_span bytes, const google::protobuf::Descriptor& expected);

}  // namespace weir
