#include "storage/disk.h"

namespace weir {

std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

result<void> make_dir_durable(disk& where, const std::string& path) {
  auto made = where.make_dir(path);
  if (!made) return made;
  for (std::string child = path; !child.empty();) {
    child = parent_of(child);
    auto synced = where.sync_dir(child);
    if (!synced) return synced;
  }
  return ok();
}

}  // namespace weir
