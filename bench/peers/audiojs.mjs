// One package of audiojs on mono float32 samples: stdin in, stdout out.
// node audiojs.mjs FOLDER PACKAGE OPTIONS_JSON; the package is looked up from FOLDER.
import { createRequire } from 'node:module'
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [folder, name, options] = process.argv.slice(2)
const from = createRequire(`${folder}/package.json`)
const { default: mend } = await import(pathToFileURL(from.resolve(name)))
const bytes = readFileSync(0)
const given = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
const made = mend(given, JSON.parse(options)) ?? given
writeFileSync(1, Buffer.from(made.buffer, made.byteOffset, made.byteLength))
