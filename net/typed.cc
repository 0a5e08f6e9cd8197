#include "net/typed.h"

#include <limits>

#include "net/parse_fault.h"

namespace weir {

result<void> parse_message(byte_span bytes, google::protobuf::Message& into) {
  if (bytes.size() <= std::numeric_limits<int>::max() &&
      into.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return ok();
  }
  return fail(errc::invalid_argument, parse_fault(bytes, *into.GetDescriptor()));
}

reply serialize(const google::protobuf::Message& message) {
  reply out;
  message.SerializeToString(&out.head);
  return out;
}

}  // namespace weir
