// One visitor made of several lambdas.
#pragma once

namespace retrap {

/// std::visit(Overloaded{[](const A&) {...}, [](const B&) {...}}, variant): no arm for the rest.
template <class... Arms>
struct Overloaded : Arms... {
  using Arms::operator()...;
};

}  // namespace retrap
