// One visitor made of several functions, for std::visit. Any thread.
#pragma once

namespace tallymesh {

template <class... Fs>
struct overload : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
overload(Fs...) -> overload<Fs...>;

} // namespace tallymesh
