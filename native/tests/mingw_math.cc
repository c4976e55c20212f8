// What the tests compare with must be right to the last bit: mingw's own fmaf rounds twice, and its sin and cos lose the
// angle of large numbers. Windows' own are right. kernelet itself calls none of them.
#if defined(__MINGW32__)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

namespace {

template <class Function>
Function windows(const char* name) {
  return reinterpret_cast<Function>(
      reinterpret_cast<void*>(GetProcAddress(LoadLibraryW(L"ucrtbase.dll"), name)));
}

}  // namespace

extern "C" {
float fmaf(float x, float y, float z) {
  static const auto function = windows<float (*)(float, float, float)>("fmaf");
  return function(x, y, z);
}

double sin(double x) {
  static const auto function = windows<double (*)(double)>("sin");
  return function(x);
}

double cos(double x) {
  static const auto function = windows<double (*)(double)>("cos");
  return function(x);
}
}
#endif
