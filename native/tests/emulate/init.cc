// The first and only process of the machine that scripts/bochs.mjs emulates: shows what CPU it is, runs /tests
// and switches off. The padding pushes the last lines out of the emulator's buffer for the serial port.
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

int main() {
  setvbuf(stdout, nullptr, _IONBF, 0);
  mkdir("/proc", 0755);
  mkdir("/sys", 0755);
  if (mount("proc", "/proc", "proc", 0, nullptr) != 0) std::puts("no /proc");
  if (mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) std::puts("no /sys");
  if (FILE* cpu = std::fopen("/proc/cpuinfo", "r")) {
    static char line[8192];
    while (std::fgets(line, sizeof line, cpu) != nullptr) {
      if (std::strncmp(line, "flags", 5) == 0)
        std::printf("AVX-512: %s\n", std::strstr(line, " avx512f ") ? "yes" : "no");
    }
    std::fclose(cpu);
  }
  std::puts("BEGIN");
  const pid_t child = fork();
  if (child == 0) {
    execl("/tests", "/tests", "avx512", static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = -1;
  waitpid(child, &status, 0);
  std::printf("END %d\n", status);
  for (int i = 0; i < 128; i++) std::printf("%0127d\n", 0);
  reboot(RB_POWER_OFF);
  for (;;) pause();
}
