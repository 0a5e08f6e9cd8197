// What a completion queue gives back: the start of every object we hand to gRPC as a tag.
//
// Always pass the result of as_tag(): a class with a vtable keeps this base elsewhere than at its own address.
#pragma once

namespace weir {

struct completion_tag {
  void (*fn)(completion_tag* self, bool ok);

  void* as_tag() { return this; }
};

}  // namespace weir
