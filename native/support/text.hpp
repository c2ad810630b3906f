// Texts of others.
#pragma once

#include <string>

namespace deepzero {

// The text with every run of white space as one space, and none around it.
std::string inOneLine(const std::string& text);

}  // namespace deepzero
