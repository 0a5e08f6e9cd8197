// Numbers with types: explicit in, .raw() out, no conversion either way, and no arithmetic but what each use spells
// out.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace weir {

template <class Tag, class Rep = uint64_t>
class strong {
 public:
  constexpr strong() = default;
  constexpr explicit strong(Rep raw) : raw_(raw) {}
  constexpr Rep raw() const { return raw_; }
  constexpr auto operator<=>(const strong&) const = default;
  constexpr strong next() const { return strong(raw_ + 1); }
  constexpr strong prev() const { return strong(raw_ - 1); }

 private:
  Rep raw_ = 0;
};

}  // namespace weir

template <class Tag, class Rep>
struct std::hash<weir::strong<Tag, Rep>> {
  size_t operator()(weir::strong<Tag, Rep> value) const noexcept { return std::hash<Rep>()(value.raw()); }
};
