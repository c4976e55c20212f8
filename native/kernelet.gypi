# What binding.gyp includes: the node-gyp build behind the prebuilt binaries (npm run prebuilds) and behind
# `npm run build:source`. Sources and flags come from sources.gypi, as in CMakeLists.txt.
{
  "includes": ["sources.gypi"],
  "variables": {
    # 1: core and bindings are optimised as one, which takes some thirty kilobytes off. GCC alone; the kernels stay
    # out of it, each tier compiled for itself.
    "kernelet_lto%": 0,
    # 1: without the scalar tier, which no CPU of these kinds runs by itself. (Variables in variables: conditions beside
    # them see them so.)
    "variables": {"kernelet_prebuilt%": 0},
    "kernelet_prebuilt%": "<(kernelet_prebuilt)",
    "conditions": [
      ["target_arch=='x64' and kernelet_prebuilt!=1", {"kernelet_tiers": ["<@(kernelet_tiers_x64)"]}],
      ["target_arch=='x64' and kernelet_prebuilt==1", {"kernelet_tiers": ["<@(kernelet_prebuilt_tiers_x64)"]}],
      ["target_arch=='arm64' and kernelet_prebuilt!=1", {"kernelet_tiers": ["<@(kernelet_tiers_arm64)"]}],
      ["target_arch=='arm64' and kernelet_prebuilt==1", {"kernelet_tiers": ["<@(kernelet_prebuilt_tiers_arm64)"]}]
    ]
  },
  "target_defaults": {
    "include_dirs": ["<(module_root_dir)/native"],
    "cflags": ["-ffunction-sections", "-fdata-sections", "-U_FORTIFY_SOURCE"],
    # node-gyp's, for 32 bits; it would take fopen64, which musl only has for the binaries of old
    "defines!": ["_FILE_OFFSET_BITS=64", "_LARGEFILE_SOURCE"],
    "conditions": [
      # node-gyp's own common.gypi asks for the newest macOS it knows; this is Node 20's floor
      ["OS=='mac'", {"xcode_settings": {"MACOSX_DEPLOYMENT_TARGET": "11.0"}}]
    ]
  },
  "targets": [
    {
      "target_name": "kernelet",
      "sources": ["<@(kernelet_addon_sources)"],
      "dependencies": ["core"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["<@(kernelet_common_flags)", "<@(kernelet_addon_flags)"],
      "xcode_settings": {
        "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
        "GCC_ENABLE_CPP_RTTI": "YES",
        "DEAD_CODE_STRIPPING": "YES",
        "OTHER_LDFLAGS": [
          "-Wl,-exported_symbols_list,<(module_root_dir)/native/compat/exports.txt",
          "-Wl,-no_function_starts"
        ],
        # Small, here and in the core: neither is fast by its loops. With frame pointers, Apple's compact form of unwinding
        # describes every function, and no table beside it is needed.
        "OTHER_CPLUSPLUSFLAGS": ["<@(kernelet_common_flags)", "<@(kernelet_addon_flags)", "<@(kernelet_apple_small_flags)"]
      },
      "msvs_settings": {
        "VCCLCompilerTool": {
          "ExceptionHandling": 1,
          "AdditionalOptions": ["<@(kernelet_msvc_common_flags)", "<@(kernelet_msvc_addon_flags)"]
        }
      },
      "conditions": [
        [
          "kernelet_lto==1",
          {
            "cflags_cc": ["-flto", "-ffat-lto-objects"],
            "ldflags": ["-flto", "-flto-partition=one"]
          }
        ],
        [
          "OS=='linux'",
          {
            "ldflags": [
              "-Wl,--gc-sections",
              "-Wl,--as-needed",
              "-Wl,-z,noexecstack",
              "-Wl,-z,noseparate-code",
              "-Wl,-z,nodelete",
              "-Wl,--version-script=<(module_root_dir)/native/compat/exports.map"
            ]
          }
        ]
      ]
    },
    {
      "target_name": "core",
      "type": "static_library",
      "sources": [
        "<!@(node -p \"process.argv.slice(1).flatMap((d) => require('fs').readdirSync('native/' + d).filter((f) => f.endsWith('.cc')).map((f) => 'native/' + d + '/' + f)).join(' ')\" <@(kernelet_core_folders))"
      ],
      "defines": ["<!@(node -p \"process.argv.slice(1).map((t, i) => 'KERNELET_TIER_' + i + '=' + t).join(' ')\" <@(kernelet_tiers))"],
      "dependencies": ["<!@(node -p \"process.argv.slice(1).map((t) => 'kernels_' + t).join(' ')\" <@(kernelet_tiers))"],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["<@(kernelet_common_flags)", "<@(kernelet_core_flags)"],
      "xcode_settings": {
        "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
        "GCC_ENABLE_CPP_RTTI": "YES",
        "OTHER_CPLUSPLUSFLAGS": ["<@(kernelet_common_flags)", "<@(kernelet_core_flags)", "<@(kernelet_apple_small_flags)"]
      },
      "msvs_settings": {
        "VCCLCompilerTool": {
          "ExceptionHandling": 1,
          "AdditionalOptions": ["<@(kernelet_msvc_common_flags)", "<@(kernelet_msvc_core_flags)"]
        }
      },
      "conditions": [
        ["kernelet_lto==1", {"cflags_cc": ["-flto", "-ffat-lto-objects"]}]
      ]
    }
  ]
}
