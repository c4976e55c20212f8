{
  "variables": {
    "kernelet_addon_sources": [
      "native/addon.cc",
      "native/compat/old_glibc.cc",
      "native/bindings/async.cc",
      "native/bindings/augment.cc",
      "native/bindings/convert.cc",
      "native/bindings/errors.cc",
      "native/bindings/measure.cc",
      "native/bindings/plan_object.cc",
      "native/bindings/trainer_object.cc",
      "native/bindings/tuning.cc"
    ],
    "kernelet_core_folders": ["base", "kernels", "graph", "ops", "plan", "train"],
    "kernelet_tier_folder": "kernels/tier",
    "kernelet_common_flags": ["-std=c++17", "-ffp-contract=off", "-fvisibility=hidden", "-fomit-frame-pointer", "-Wall", "-Wextra"],
    "kernelet_addon_flags": ["-Os", "-fno-rtti"],
    "kernelet_core_flags": ["-Os", "-fno-rtti"],
    "kernelet_kernel_flags": ["-O2", "-fno-align-jumps", "-Wno-ignored-optimization-argument", "-fno-asynchronous-unwind-tables", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-math-errno"],
    "kernelet_clang_kernel_flags": ["-falign-loops=8", "-fno-unroll-loops", "-fno-vectorize", "-fno-slp-vectorize"],
    "kernelet_apple_small_flags": ["-Oz", "-fno-omit-frame-pointer"],
    "kernelet_msvc_common_flags": ["/std:c++17", "/EHsc", "/fp:precise", "/utf-8", "/W3"],
    "kernelet_msvc_addon_flags": ["/O1"],
    "kernelet_msvc_core_flags": ["/O1"],
    "kernelet_msvc_kernel_flags": ["/O2", "/GR-"],
    "kernelet_tiers_x64": ["scalar", "sse", "avx2", "avx512"],
    "kernelet_tiers_arm64": ["scalar", "neon"],
    "kernelet_prebuilt_tiers_x64": ["sse", "avx2", "avx512"],
    "kernelet_prebuilt_tiers_arm64": ["neon"],
    "kernelet_flags_scalar": ["-Os"],
    "kernelet_msvc_flags_scalar": [],
    "kernelet_flags_sse": ["-Os"],
    "kernelet_msvc_flags_sse": [],
    "kernelet_flags_avx2": ["-mavx2", "-mfma"],
    "kernelet_msvc_flags_avx2": ["/arch:AVX2"],
    "kernelet_flags_avx512": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma", "-mprefer-vector-width=512", "-Wno-unknown-warning-option", "-Wno-maybe-uninitialized", "-Wno-uninitialized"],
    "kernelet_msvc_flags_avx512": ["/arch:AVX512"],
    "kernelet_flags_neon": [],
    "kernelet_msvc_flags_neon": []
  },
  "conditions": [
    [
      "target_arch=='x64'",
      {
        "targets": [
          {"target_name": "kernels_scalar", "variables": {"tier": "scalar", "TIER": "SCALAR", "tier_flags": ["<@(kernelet_flags_scalar)"], "tier_msvc_flags": ["<@(kernelet_msvc_flags_scalar)"]}, "includes": ["tier.gypi"]},
          {"target_name": "kernels_sse", "variables": {"tier": "sse", "TIER": "SSE", "tier_flags": ["<@(kernelet_flags_sse)"], "tier_apple_flags": ["<@(kernelet_apple_small_flags)"], "tier_msvc_flags": ["<@(kernelet_msvc_flags_sse)"]}, "includes": ["tier.gypi"]},
          {"target_name": "kernels_avx2", "variables": {"tier": "avx2", "TIER": "AVX2", "tier_flags": ["<@(kernelet_flags_avx2)"], "tier_msvc_flags": ["<@(kernelet_msvc_flags_avx2)"]}, "includes": ["tier.gypi"]},
          {"target_name": "kernels_avx512", "variables": {"tier": "avx512", "TIER": "AVX512", "tier_flags": ["<@(kernelet_flags_avx512)"], "tier_msvc_flags": ["<@(kernelet_msvc_flags_avx512)"]}, "includes": ["tier.gypi"]}
        ]
      }
    ],
    [
      "target_arch=='arm64'",
      {
        "targets": [
          {"target_name": "kernels_scalar", "variables": {"tier": "scalar", "TIER": "SCALAR", "tier_flags": ["<@(kernelet_flags_scalar)"], "tier_msvc_flags": ["<@(kernelet_msvc_flags_scalar)"]}, "includes": ["tier.gypi"]},
          {"target_name": "kernels_neon", "variables": {"tier": "neon", "TIER": "NEON", "tier_flags": ["<@(kernelet_flags_neon)"], "tier_msvc_flags": ["<@(kernelet_msvc_flags_neon)"]}, "includes": ["tier.gypi"]}
        ]
      }
    ]
  ]
}
