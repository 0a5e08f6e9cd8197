// Every .proto file of this folder, as the program that links it sees it.
//
// The linker drops a generated file that nobody refers to, and reflection and the contract test would not know it then;
// this list refers to all of them. Pointers live as long as the program; thread-safe.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

namespace weir {

// In the order of their names' folders; never null. What a file imports from outside (google/protobuf/...) is reached
// through its dependency().
std::vector<const google::protobuf::FileDescriptor*> all_files();

// Full names of all services, as in a method's path: "waymaker.streams.WaymakerStreamsService".
std::vector<std::string> all_service_names();

}  // namespace weir
