// Reads the project's files for the house rules.
#include "tests/tidy/source_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "tests/support/paths.h"

namespace retrap::tidy {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 10> kFolders = {
    ".ci", "vmm", "arch", "traces", "sim", "tests", "benches", "examples", "docs", "cmake"};

constexpr std::array<std::string_view, 14> kTextExtensions = {
    ".h",  ".cpp", ".c",    ".S",    ".ld", ".cmake", ".txt",
    ".md", ".sh",  ".toml", ".json", ".in", ".yml",   ""};

bool is_text(const fs::path& path) {
  return std::ranges::find(kTextExtensions, path.extension().string()) != kTextExtensions.end();
}

SourceFile read(const fs::path& root, const fs::path& path) {
  SourceFile file{.path = fs::relative(path, root).generic_string(), .lines = {}};
  std::ifstream stream(path);
  for (std::string line; std::getline(stream, line);) file.lines.push_back(line);
  return file;
}

}  // namespace

bool SourceFile::is_cpp() const {
  return path.ends_with(".cpp") || is_header();
}

bool SourceFile::is_header() const {
  return path.ends_with(".h");
}

std::string SourceFile::where(std::size_t index) const {
  return fmt::format("{}:{}", path, index + 1);
}

std::vector<SourceFile> project_files() {
  const fs::path root = test::source_dir();
  std::vector<SourceFile> files;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.is_regular_file() && is_text(entry.path())) files.push_back(read(root, entry.path()));
  }
  for (const std::string_view folder : kFolders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (entry.is_regular_file() && is_text(entry.path())) {
        files.push_back(read(root, entry.path()));
      }
    }
  }
  std::ranges::sort(files, {}, &SourceFile::path);
  return files;
}

std::string_view code_of(std::string_view line) {
  return line.substr(0, line.find("//"));
}

std::string_view included_by(std::string_view line) {
  constexpr std::string_view kInclude = "#include ";
  if (!line.starts_with(kInclude) || line.size() < kInclude.size() + 2) return {};
  const std::string_view rest = line.substr(kInclude.size() + 1);
  return rest.substr(0, rest.find_first_of("\">"));
}

}  // namespace retrap::tidy
