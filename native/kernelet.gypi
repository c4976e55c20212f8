# What binding.gyp includes: the node-gyp build behind the prebuilt binaries (npm run prebuilds) and behind
# `npm run build:source`. Sources and flags come from sources.gypi, as in CMakeLists.txt.
{
  "includes": ["sources.gypi"],
  "variables": {
    # 1: core and bindings are optimised as one, which takes some thirty kilobytes off. GCC alone; the kernels stay
    # out of it, each tier compiled for itself.
    "kernelet_lto%": 0
  },
  "target_defaults": {
    "include_dirs": ["<(module_root_dir)/native"],
    "cflags": ["-ffunction-sections", "-fdata-sections", "-U_FORTIFY_SOURCE"],
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
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["<@(kernelet_common_flags)", "<@(kernelet_addon_flags)"],
      "xcode_settings": {
        "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
        "GCC_ENABLE_CPP_RTTI": "YES",
        "DEAD_CODE_STRIPPING": "YES",
        "OTHER_CPLUSPLUSFLAGS": ["<@(kernelet_common_flags)", "<@(kernelet_addon_flags)"]
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
      "sources": ["<@(kernelet_core_sources)"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["<@(kernelet_common_flags)", "<@(kernelet_core_flags)"],
      "xcode_settings": {
        "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
        "GCC_ENABLE_CPP_RTTI": "YES",
        "OTHER_CPLUSPLUSFLAGS": ["<@(kernelet_common_flags)", "<@(kernelet_core_flags)"]
      },
      "msvs_settings": {
        "VCCLCompilerTool": {
          "ExceptionHandling": 1,
          "AdditionalOptions": ["<@(kernelet_msvc_common_flags)", "<@(kernelet_msvc_core_flags)"]
        }
      },
      "conditions": [
        ["kernelet_lto==1", {"cflags_cc": ["-flto", "-ffat-lto-objects"]}],
        [
          "target_arch=='x64'",
          {
            "defines": ["KERNELET_HAVE_SCALAR=1", "KERNELET_HAVE_SSE=1", "KERNELET_HAVE_AVX2=1", "KERNELET_HAVE_AVX512=1"],
            "dependencies": ["kernels_scalar", "kernels_sse", "kernels_avx2", "kernels_avx512"]
          }
        ],
        [
          "target_arch=='arm64'",
          {
            "defines": ["KERNELET_HAVE_SCALAR=1", "KERNELET_HAVE_NEON=1"],
            "dependencies": ["kernels_scalar", "kernels_neon"]
          }
        ]
      ]
    },
    {
      "target_name": "kernels_scalar",
      "type": "static_library",
      "sources": ["<@(kernelet_kernel_source)"],
      "defines": ["KERNELET_ISA=scalar", "KERNELET_ISA_SCALAR=1"],
      "cflags_cc": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_flags_scalar)"],
      "xcode_settings": {
        "OTHER_CPLUSPLUSFLAGS": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_flags_scalar)"]
      },
      "msvs_settings": {
        "VCCLCompilerTool": {
          "AdditionalOptions": [
            "<@(kernelet_msvc_common_flags)", "<@(kernelet_msvc_kernel_flags)", "<@(kernelet_msvc_flags_scalar)"
          ]
        }
      }
    }
  ],
  "conditions": [
    [
      "target_arch=='x64'",
      {
        "targets": [
          {
            "target_name": "kernels_sse",
            "type": "static_library",
            "sources": ["<@(kernelet_kernel_source)"],
            "defines": ["KERNELET_ISA=sse", "KERNELET_ISA_SSE=1"],
            "cflags_cc": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_flags_sse)"],
            "xcode_settings": {
              "OTHER_CPLUSPLUSFLAGS": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_flags_sse)"]
            },
            "msvs_settings": {
              "VCCLCompilerTool": {
                "AdditionalOptions": [
                  "<@(kernelet_msvc_common_flags)", "<@(kernelet_msvc_kernel_flags)", "<@(kernelet_msvc_flags_sse)"
                ]
              }
            }
          },
          {
            "target_name": "kernels_avx2",
            "type": "static_library",
            "sources": ["<@(kernelet_kernel_source)"],
            "defines": ["KERNELET_ISA=avx2", "KERNELET_ISA_AVX2=1"],
            "cflags_cc": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_flags_avx2)"],
            "xcode_settings": {
              "OTHER_CPLUSPLUSFLAGS": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_flags_avx2)"]
            },
            "msvs_settings": {
              "VCCLCompilerTool": {
                "AdditionalOptions": [
                  "<@(kernelet_msvc_common_flags)", "<@(kernelet_msvc_kernel_flags)", "<@(kernelet_msvc_flags_avx2)"
                ]
              }
            }
          },
          {
            "target_name": "kernels_avx512",
            "type": "static_library",
            "sources": ["<@(kernelet_kernel_source)"],
            "defines": ["KERNELET_ISA=avx512", "KERNELET_ISA_AVX512=1"],
            "cflags_cc": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_flags_avx512)"],
            "xcode_settings": {
              "OTHER_CPLUSPLUSFLAGS": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_flags_avx512)"]
            },
            "msvs_settings": {
              "VCCLCompilerTool": {
                "AdditionalOptions": [
                  "<@(kernelet_msvc_common_flags)", "<@(kernelet_msvc_kernel_flags)", "<@(kernelet_msvc_flags_avx512)"
                ]
              }
            }
          }
        ]
      }
    ],
    [
      "target_arch=='arm64'",
      {
        "targets": [
          {
            "target_name": "kernels_neon",
            "type": "static_library",
            "sources": ["<@(kernelet_kernel_source)"],
            "defines": ["KERNELET_ISA=neon", "KERNELET_ISA_NEON=1"],
            "cflags_cc": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_flags_neon)"],
            "xcode_settings": {
              "OTHER_CPLUSPLUSFLAGS": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_flags_neon)"]
            },
            "msvs_settings": {
              "VCCLCompilerTool": {
                "AdditionalOptions": [
                  "<@(kernelet_msvc_common_flags)", "<@(kernelet_msvc_kernel_flags)", "<@(kernelet_msvc_flags_neon)"
                ]
              }
            }
          }
        ]
      }
    ]
  ]
}
