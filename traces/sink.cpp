// Trace files: every append is one write, so that a killed process leaves whole blocks.
#include "traces/sink.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace retrap::traces {
namespace {

tl::unexpected<Error> cannot_write(const std::string& path, int error) {
  return fail(ErrorCode::Backend, "{}: cannot write: {}; name another file", path,
              std::generic_category().message(error));
}

class FileSink final : public Sink {
 public:
  FileSink(std::string path, int file) : path_(std::move(path)), file_(file) {}
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  ~FileSink() override { (void)close(); }

  Result<> append(ConstBytes bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return cannot_go_on(written < 0 ? errno : ENOSPC);
      size_ += static_cast<std::uint64_t>(written);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }

  Result<> close() override {
    if (file_ < 0) return {};
    // What waits for its place on a disk may be refused only here, and the file is closed even so.
    if (::close(std::exchange(file_, -1)) != 0 && errno != EINTR) return cannot_close(errno);
    return {};
  }

 private:
  [[nodiscard]] tl::unexpected<Error> cannot_close(int error) const {
    return fail(ErrorCode::Backend,
                "{}: cannot write: {}; the trace may be cut off; record again where there is room",
                path_, std::generic_category().message(error));
  }
  [[nodiscard]] tl::unexpected<Error> cannot_go_on(int error) const {
    if (size_ == 0) return cannot_write(path_, error);
    return fail(ErrorCode::Backend,
                "{}: cannot write: {}; the trace is cut off at {} bytes; record again where there "
                "is room",
                path_, std::generic_category().message(error), size_);
  }

  std::string path_;
  int file_;
  std::uint64_t size_ = 0;  ///< written
};

}  // namespace

Result<std::unique_ptr<Sink>> make_file_sink(const std::string& path) {
  constexpr mode_t kMode = 0666;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode);
  if (file < 0) return cannot_write(path, errno);
  return std::make_unique<FileSink>(path, file);
}

}  // namespace retrap::traces
