/** The folder that a training writes: checkpoints, the history of its steps, and the curve. */
import {
  exists,
  freeSpace,
  type GrowingFile,
  joinPath,
  listDirectory,
  makeDirectory,
  openGrowing,
  readWhole,
  remove,
  writeWhole,
} from "../formats/files.ts";
import type { JsonObject } from "../formats/json.ts";
import { FrugalError } from "../tensor/error.ts";
import { type Checkpoint, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { curveSvg } from "./curve.ts";
import { historyLine, readHistory } from "./history.ts";
import { type FolderLock, lockFolder } from "./lock.ts";
import type { RunStore, TrainingProgress } from "./run.ts";

export interface RunFolderOptions {
  readonly path: string;
  /** What the run was asked for; a resumption must have asked for the same. */
  readonly settings: JsonObject;
  readonly resume: boolean;
  /** Saves every so many steps. */
  readonly every: number;
  /** Checkpoints that are kept, the newest ones. */
  readonly keep: number;
  /** Bytes of a checkpoint, and of all else that will be written. */
  readonly bytes: { readonly checkpoint: number; readonly others: number };
}

export interface RunFolder extends RunStore {
  /** Writes the curve. */
  finish(): Promise<void>;
  /** Gives the folder to others; needed after a failure too. */
  close(): Promise<void>;
}

const historyName = "losses.jsonl";
const curveName = "curve.svg";
const checkpointPattern = /^step-(\d+)\.safetensors$/;

/**
 * Opens the folder for a run, and says what is wrong with it before anything is computed: FRUGAL_NO_SPACE, FRUGAL_BAD_ARGUMENT where it cannot
 * be written, another process writes it, or a run that was cut off lies there and `resume` is not asked for (or the other way round).
 */
export async function openRunFolder(options: RunFolderOptions): Promise<RunFolder> {
  const { path, bytes, keep } = options;
  await makeDirectory(path);
  const lock = await lockFolder(path);
  try {
    // While a checkpoint is written the older ones are still there.
    await expectSpace(path, bytes.checkpoint * (keep + 1) + bytes.others);
    return await open(options, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** What another rank of the same training needs of the folder: where it resumes. It writes nothing. */
export async function watchRunFolder(options: RunFolderOptions): Promise<Pick<RunFolder, "resumed" | "close">> {
  const folder = joinPath(options.path, "checkpoints");
  const last = options.resume ? (await checkpointSteps(folder)).at(-1) : undefined;
  if (last === undefined) return { close: async () => undefined };
  const { state, kept, close } = await readCheckpoint(joinPath(folder, nameOf(last)));
  return { resumed: { state, kept, history: await historyUntil(joinPath(options.path, historyName), last) }, close };
}

/** @throws FRUGAL_NO_SPACE where the folder's disk has fewer bytes left. */
export async function expectSpace(path: string, needed: number): Promise<void> {
  const available = await freeSpace(path);
  if (available >= needed) return;
  throw new FrugalError(
    "FRUGAL_NO_SPACE",
    `${path}: the training will write ${Math.ceil(needed / 1e6)} MB there, but ${Math.floor(available / 1e6)} MB are free; free some or write elsewhere`,
    { needed, available },
  );
}

async function open(options: RunFolderOptions, lock: FolderLock): Promise<RunFolder> {
  const { path, settings, every, keep } = options;
  const folder = joinPath(path, "checkpoints");
  await makeDirectory(folder);
  await removeLeftovers(folder);
  await removeLeftovers(path);
  const steps = await checkpointSteps(folder);
  const checkpoint = await newest(path, folder, steps, options);
  const historyPath = joinPath(path, historyName);
  const history = checkpoint === undefined ? [] : await historyUntil(historyPath, checkpoint.state.step);
  if (checkpoint === undefined) for (const step of steps) await remove(joinPath(folder, nameOf(step)));
  // Steps after the checkpoint will be done again, and their lines written again.
  await writeWhole(historyPath, history.map(historyLine).join(""));
  const lines = await openGrowing(historyPath);
  let offset = lines.byteLength;
  const all = [...history];
  return {
    every,
    resumed: checkpoint === undefined ? undefined : { state: checkpoint.state, kept: checkpoint.kept, history },
    async record(progress) {
      all.push(progress);
      offset += await append(lines, offset, historyLine(progress));
    },
    async save(state, kept) {
      await lines.sync();
      await writeCheckpoint(joinPath(folder, nameOf(state.step)), state, kept, settings);
      const old = (await checkpointSteps(folder)).slice(0, -keep);
      for (const step of old) await remove(joinPath(folder, nameOf(step)));
    },
    finish: () => writeWhole(joinPath(path, curveName), curveSvg(all)),
    async close() {
      await lines.close();
      await checkpoint?.close();
      await lock.release();
    },
  };
}

const nameOf = (step: number): string => `step-${String(step).padStart(6, "0")}.safetensors`;

/** Oldest first. */
async function checkpointSteps(folder: string): Promise<readonly number[]> {
  const entries = await listDirectory(folder);
  return entries
    .flatMap(({ name }) => checkpointPattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** Of files that a process which was killed did not finish. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const { name } of await listDirectory(folder))
    if (/\.[0-9a-f]{8}\.part$/.test(name) || /^training\.lock\.[0-9a-f]{8}$/.test(name)) await remove(joinPath(folder, name));
}

async function newest(
  path: string,
  folder: string,
  steps: readonly number[],
  { resume, settings }: RunFolderOptions,
): Promise<Checkpoint | undefined> {
  const last = steps.at(-1);
  if (last === undefined) {
    if (resume)
      throw new FrugalError("FRUGAL_NOT_FOUND", `${path}: has no checkpoint to resume from; begin without resuming`, { folder: path });
    return undefined;
  }
  const checkpoint = await readCheckpoint(joinPath(folder, nameOf(last)));
  try {
    if (resume) expectSameSettings(path, checkpoint.settings, settings);
    else if (!checkpoint.state.ended)
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `${path}: holds a training that was cut off after step ${last}; resume it, remove ${folder}, or write elsewhere`,
        { folder: path, step: last },
      );
    else {
      await checkpoint.close();
      return undefined;
    }
    return checkpoint;
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

function expectSameSettings(path: string, before: JsonObject, now: JsonObject): void {
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [was, is] = [JSON.stringify(before[key]), JSON.stringify(now[key])];
    if (was === is) continue;
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${path}: its training had ${key} ${was ?? "absent"}, this one has ${is ?? "absent"}; resume with the same, or write elsewhere`,
      { setting: key },
    );
  }
}

async function historyUntil(path: string, step: number): Promise<readonly TrainingProgress[]> {
  const history = (await exists(path)) ? readHistory(path, await readWhole(path, 1 << 30)) : [];
  if (history.length >= step) return history.slice(0, step);
  throw new FrugalError(
    "FRUGAL_BAD_FILE",
    `${path}: has ${history.length} steps, but the checkpoint is of step ${step}; begin anew elsewhere`,
    {
      steps: history.length,
      step,
    },
  );
}

async function append(file: GrowingFile, offset: number, text: string): Promise<number> {
  const bytes = new TextEncoder().encode(text);
  await file.writeAt(offset, bytes);
  return bytes.length;
}
