#include "storage/disk.h"

namespace weir {

std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

result<void> make_dir_durable(disk& where, const std::string& path) {
  auto step = where.make_dir(path);
  if (step) step = where.sync_dir("");
  for (size_t slash = path.find('/'); step && slash != std::string::npos; slash = path.find('/', slash + 1)) {
    step = where.sync_dir(path.substr(0, slash));
  }
  return step;
}

}  // namespace weir
