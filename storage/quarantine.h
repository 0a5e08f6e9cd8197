// Setting a damaged file aside: it is renamed into <root>/quarantine/, never deleted.
#pragma once

#include <string>

#include "storage/disk.h"

namespace weir {

// `path` lies below `root`. Blocking. Returns the new path; the move survives a power cut when it returns.
result<std::string> quarantine(disk& where, const std::string& root, const std::string& path);

}  // namespace weir
