{
  "variables": {
    "kernelet_addon_sources": [
      "native/addon.cc",
      "native/compat/old_glibc.cc",
      "native/bindings/augment.cc",
      "native/bindings/convert.cc",
      "native/bindings/measure.cc",
      "native/bindings/plan_object.cc",
      "native/bindings/trainer_object.cc"
    ],
    "kernelet_core_sources": [
      "native/core/augment.cc",
      "native/core/graph.cc",
      "native/core/fuse.cc",
      "native/core/peak.cc",
      "native/core/plan.cc",
      "native/core/plan_builder.cc",
      "native/core/isa.cc",
      "native/core/cpu.cc",
      "native/core/thread_pool.cc",
      "native/core/train_program.cc",
      "native/core/train_steps.cc",
      "native/core/train_team.cc",
      "native/core/trainer.cc"
    ],
    "kernelet_kernel_source": ["native/kernels/kernels.cc", "native/kernels/narrow.cc"],
    "kernelet_isas_x64": ["scalar", "sse", "avx2", "avx512"],
    "kernelet_isas_arm64": ["scalar", "neon"],
    "kernelet_common_flags": ["-std=c++17", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"],
    "kernelet_addon_flags": ["-Os"],
    "kernelet_core_flags": ["-Os"],
    "kernelet_kernel_flags": ["-O2", "-fno-asynchronous-unwind-tables", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-math-errno"],
    "kernelet_flags_scalar": ["-Os"],
    "kernelet_flags_sse": ["-Os"],
    "kernelet_flags_avx2": ["-mavx2", "-mfma"],
    "kernelet_flags_avx512": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma", "-mprefer-vector-width=512", "-Wno-unknown-warning-option", "-Wno-maybe-uninitialized", "-Wno-uninitialized"],
    "kernelet_flags_neon": [],
    "kernelet_msvc_common_flags": ["/std:c++17", "/EHsc", "/fp:precise", "/utf-8", "/W3"],
    "kernelet_msvc_addon_flags": ["/O1"],
    "kernelet_msvc_core_flags": ["/O2"],
    "kernelet_msvc_kernel_flags": ["/O2", "/GR-"],
    "kernelet_msvc_flags_scalar": [],
    "kernelet_msvc_flags_sse": [],
    "kernelet_msvc_flags_avx2": ["/arch:AVX2"],
    "kernelet_msvc_flags_avx512": ["/arch:AVX512"],
    "kernelet_msvc_flags_neon": []
  }
}
