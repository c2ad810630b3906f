#include "support/text.hpp"

#include <sstream>

namespace deepzero {

std::string inOneLine(const std::string& text) {
  std::istringstream words(text);
  std::string line;
  for (std::string word; words >> word;) line.append(line.empty() ? "" : " ").append(word);
  return line;
}

}  // namespace deepzero
