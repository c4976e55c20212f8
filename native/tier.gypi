# The kernels of one tier, compiled for it alone: included by its target in sources.gypi.
{
  "type": "static_library",
  "variables": {"tier_apple_flags%": []},
  "sources": ["<!@(node -p \"require('fs').readdirSync('native/<(kernelet_tier_folder)').map((f) => 'native/<(kernelet_tier_folder)/' + f).join(' ')\")"],
  "defines": ["KERNELET_ISA=<(tier)", "KERNELET_ISA_<(TIER)=1"],
  "cflags_cc": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(tier_flags)"],
  "xcode_settings": {
    "OTHER_CPLUSPLUSFLAGS": ["<@(kernelet_common_flags)", "<@(kernelet_kernel_flags)", "<@(kernelet_clang_kernel_flags)", "<@(tier_flags)", "<@(tier_apple_flags)"]
  },
  "msvs_settings": {
    "VCCLCompilerTool": {
      "AdditionalOptions": ["<@(kernelet_msvc_common_flags)", "<@(kernelet_msvc_kernel_flags)", "<@(tier_msvc_flags)"]
    }
  }
}
