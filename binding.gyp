# Not in the published package: npm runs node-gyp at install where it sees this file. scripts/build-source.mjs
# writes it back on request. Sources and flags: native/sources.gypi.
{"includes": ["native/kernelet.gypi"]}
