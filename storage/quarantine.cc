#include "storage/quarantine.h"

#include <algorithm>

namespace weir {

result<std::string> quarantine(disk& where, const std::string& root, const std::string& path) {
  WEIR_CHECK(path.starts_with(root + "/"));
  std::string dir = root + "/quarantine";
  auto made = where.exists(dir) ? ok() : make_dir_durable(where, dir);
  if (!made) return made.err();
  std::string name = path.substr(root.size() + 1);
  std::replace(name.begin(), name.end(), '/', '-');
  std::string to = dir + "/" + name;
  for (unsigned i = 2; where.exists(to); ++i) to = dir + "/" + name + "." + std::to_string(i);
  auto moved = where.rename(path, to);
  if (moved) moved = where.sync_dir(dir);
  if (moved) moved = where.sync_dir(parent_of(path));
  if (!moved) return moved.err();
  return to;
}

}  // namespace weir
