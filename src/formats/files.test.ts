import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { existsSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createFile,
  fileSize,
  freeSpace,
  hashFile,
  kindOf,
  link,
  listDirectory,
  openFile,
  openGrowing,
  readWhole,
  writeWhole,
} from "./files.ts";

let directory: string;
const at = (name: string): string => join(directory, name);
beforeAll(async () => void (directory = await mkdtemp(join(tmpdir(), "frugal-files-"))));
afterAll(() => rm(directory, { recursive: true }));

describe("reading", () => {
  it("gives the bytes asked for, and no others", async () => {
    await writeFile(at("ten"), "0123456789");
    const source = await openFile(at("ten"));
    expect(source.byteLength).toBe(10);
    expect(source.path).toBe(at("ten"));
    expect(new TextDecoder().decode(await source.read(2, 3))).toBe("234");
    expect(await source.read(10, 0)).toHaveLength(0);
    await expect(source.read(8, 3)).rejects.toMatchObject({ code: "FRUGAL_BAD_FILE" });
    await expect(source.read(-1, 3)).rejects.toMatchObject({ code: "FRUGAL_BAD_FILE" });
    await truncate(at("ten"), 4);
    await expect(source.read(2, 8), "the file shrank after it was opened").rejects.toMatchObject({ code: "FRUGAL_BAD_FILE" });
    await source.close();
    await source.close();
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
  });

  it("names what is missing or not a file", async () => {
    await expect(openFile(at("none"))).rejects.toMatchObject({
      code: "FRUGAL_NOT_FOUND",
      message: expect.stringContaining(at("none")) as string,
    });
    await expect(openFile(directory)).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT" });
    await expect(openFile(`${directory}/a\0b`)).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT" });
    if (existsSync("/dev/zero")) await expect(openFile("/dev/zero")).rejects.toThrow(/not a regular file/);
    await writeFile(at("long"), "12345");
    await expect(readWhole(at("long"), 4)).rejects.toThrow(/has 5 bytes, more than the 4 allowed/);
    expect(await readWhole(at("long"), 5)).toHaveLength(5);
    expect(await kindOf(at("long"))).toBe("file");
    expect(await kindOf(directory)).toBe("directory");
    expect(await kindOf(at("none"))).toBe("missing");
    expect(await fileSize(at("long"))).toBe(5);
    expect(await fileSize(directory)).toBeUndefined();
  });

  it("lists and hashes", async () => {
    await mkdir(at("listed/folder"), { recursive: true });
    await writeFile(at("listed/b"), "abc");
    expect(await listDirectory(at("listed"))).toEqual([
      { name: "b", isDirectory: false },
      { name: "folder", isDirectory: true },
    ]);
    expect(await hashFile(at("listed/b"), "sha256")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(await hashFile(at("listed/b"), "sha1", "blob 3\0")).toBe("f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f");
    expect(await freeSpace(directory)).toBeGreaterThan(0);
  });
});

describe("writing", () => {
  it("takes its name only when it is whole", async () => {
    await writeFile(at("kept"), "old");
    const sink = await createFile(at("kept"));
    await sink.write(new TextEncoder().encode("ne"));
    expect(await readFile(at("kept"), "utf8")).toBe("old");
    await sink.write(new TextEncoder().encode("w"));
    await sink.finish();
    expect(await readFile(at("kept"), "utf8")).toBe("new");
    const dropped = await createFile(at("kept"));
    await dropped.write(new Uint8Array(10));
    await dropped.abort();
    await dropped.abort();
    await writeWhole(at("text"), "h\u00e9");
    expect(await readFile(at("text"), "utf8")).toBe("h\u00e9");
    expect((await readdir(directory)).filter((name) => name.endsWith(".part"))).toEqual([]);
    await expect(createFile(at("none/file"))).rejects.toMatchObject({ code: "FRUGAL_NOT_FOUND" });
  });

  it.skipIf(!existsSync("/dev/full"))("says that no space is left", async () => {
    const growing = await openGrowing("/dev/full");
    await expect(growing.writeAt(0, new Uint8Array(10))).rejects.toMatchObject({ code: "FRUGAL_NO_SPACE" });
    await growing.close().catch(() => undefined);
    const sink = await createFile("/dev/full");
    await expect(sink.write(new Uint8Array(10))).rejects.toMatchObject({ code: "FRUGAL_NO_SPACE" });
    await sink.abort();
    expect(statSync("/dev/full").isCharacterDevice()).toBe(true);
  });

  it("replaces what a link names, not the link", async () => {
    await writeFile(at("linked"), "old");
    await symlink("linked", at("link"));
    await writeWhole(at("link"), "new");
    expect([await readlink(at("link")), await readFile(at("linked"), "utf8")]).toEqual(["linked", "new"]);
  });

  it("grows a file in place", async () => {
    await writeFile(at("growing"), "abc");
    const growing = await openGrowing(at("growing"));
    expect(growing.byteLength).toBe(3);
    await growing.writeAt(3, new TextEncoder().encode("def"));
    await growing.close();
    expect(await readFile(at("growing"), "utf8")).toBe("abcdef");
  });

  it("links by a relative path, over what is there", async () => {
    await mkdir(at("links"));
    await writeFile(at("links/old"), "old");
    await writeFile(at("target"), "new");
    await link(at("target"), at("links/old"));
    expect(await readlink(at("links/old"))).toBe("../target");
    expect(await readFile(at("links/old"), "utf8")).toBe("new");
  });
});
