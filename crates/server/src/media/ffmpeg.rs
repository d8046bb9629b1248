//! ffmpeg, where the machine has it: frames of films, voice notes out of any sound.
//!
//! Optional on purpose: linking such a library costs more than it gives, and a machine without it only lacks thumbnails of
//! films and refuses voice notes that are not Ogg Opus. It runs as a process of its own on one local file, with a time limit
//! and no protocol but files.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Longest time for one run.
const PATIENCE: Duration = Duration::from_mins(1);
/// Samples per second that a wave form is made of.
const WAVE_RATE: &str = "8000";
/// Values of a wave form.
const WAVE: usize = 64;
/// Longest sound that a wave form is made of, in seconds: an hour. A small file can be days of silence, and the samples are in memory.
const WAVE_SECONDS: &str = "3600";
/// The same in bytes of 16-bit samples.
const WAVE_MOST: usize = 8000 * 2 * 3600;

/// The program.
#[derive(Debug, Clone)]
pub(super) struct Ffmpeg(PathBuf);

impl Ffmpeg {
    /// The one that is named, or the first in `PATH`.
    pub(super) fn find(named: Option<&Path>) -> Option<Self> {
        if let Some(path) = named {
            return path.is_file().then(|| Self(path.to_owned()));
        }
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("ffmpeg")).find(|file| file.is_file()).map(Self)
    }

    /// Writes a frame of a film as JPEG; whether it worked.
    pub(super) async fn frame(&self, film: &Path, to: &Path) -> bool {
        self.run(film, &["-an", "-frames:v", "1", "-vf", "scale=320:-2", "-f", "mjpeg"], Some(to)).await.is_some()
    }

    /// Makes a voice note of any sound; whether it worked.
    pub(super) async fn voice(&self, sound: &Path, to: &Path) -> bool {
        self.run(sound, &["-vn", "-ac", "1", "-ar", "48000", "-c:a", "libopus", "-b:a", "32k", "-f", "ogg"], Some(to)).await.is_some()
    }

    /// The loudness of a sound over time.
    pub(super) async fn waveform(&self, sound: &Path) -> Option<Vec<u8>> {
        let samples = self.run(sound, &wave_of(), None).await?;
        Some(wave(samples.get(..WAVE_MOST).unwrap_or(&samples)))
    }

    /// Runs it on one file; what it wrote to its standard output when it ended well.
    async fn run(&self, from: &Path, how: &[&str], to: Option<&Path>) -> Option<Vec<u8>> {
        let mut command = Command::new(&self.0);
        command.args(["-nostdin", "-v", "error", "-y", "-protocol_whitelist", "file,pipe", "-i"]).arg(from).args(how);
        match to {
            Some(to) => command.arg(to),
            None => command.arg("pipe:1"),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        match tokio::time::timeout(PATIENCE, command.output()).await {
            Ok(Ok(output)) if output.status.success() => Some(output.stdout),
            Ok(Ok(output)) => {
                tracing::info!(status = %output.status, "ffmpeg could not read a file");
                None
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "ffmpeg could not be run");
                None
            }
            Err(_) => {
                tracing::warn!("ffmpeg took too long");
                None
            }
        }
    }
}

/// What is asked for to make a wave form.
fn wave_of() -> [&'static str; 9] {
    ["-vn", "-ac", "1", "-ar", WAVE_RATE, "-t", WAVE_SECONDS, "-f", "s16le"]
}

/// The mean loudness of each of 64 equal parts of 16-bit samples, the loudest being 100.
fn wave(samples: &[u8]) -> Vec<u8> {
    let count = samples.len() / 2;
    if count < WAVE {
        return Vec::new();
    }
    let parts: Vec<u64> = (0..WAVE)
        .filter_map(|part| {
            let part = samples.get(2 * (part * count / WAVE)..2 * ((part + 1) * count / WAVE))?;
            let loud = part.chunks_exact(2).map(|pair| u64::from(i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs()));
            Some(loud.sum::<u64>() / (part.len() / 2).max(1) as u64)
        })
        .collect();
    let most = parts.iter().copied().max().unwrap_or(0).max(1);
    parts.into_iter().map(|part| u8::try_from(part * 100 / most).unwrap_or(100)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_form_has_64_values_up_to_100() {
        let samples: Vec<u8> = (0..6400_i16).flat_map(|at| (at * 5).to_le_bytes()).collect();
        let wave = wave(&samples);
        assert_eq!((wave.len(), wave.last().copied()), (64, Some(100)));
        assert!(wave.is_sorted(), "{wave:?}");
        assert!(super::wave(&[0; 10]).is_empty());
    }

    #[test]
    fn no_sound_is_too_long_for_the_memory() {
        let asked = wave_of();
        let longest = asked.iter().position(|word| *word == "-t").and_then(|at| asked.get(at + 1)).expect("a bound");
        let (seconds, rate) = (longest.parse::<usize>().expect("seconds"), WAVE_RATE.parse::<usize>().expect("a rate"));
        assert_eq!(seconds * rate * 2, WAVE_MOST);
    }

    #[test]
    fn a_named_program_that_is_not_there_is_none() {
        assert!(Ffmpeg::find(Some(Path::new("/nowhere/ffmpeg"))).is_none());
    }
}
