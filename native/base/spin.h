// Waiting awake: what is waited for comes within microseconds, usually, and to be woken takes fifty.
#pragma once

namespace kernelet {

// Tells the CPU that this is a loop that waits.
inline void relax_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  __asm__ __volatile__("yield");
#endif
}

}  // namespace kernelet
