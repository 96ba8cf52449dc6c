namespace RawDiffusion.Diffusion.Data.Files;

/// <summary>
/// Keeps other processes from downloading into a folder: an exclusive open of a file in it, which ends with the process at the latest. The
/// file itself stays, since to remove it would let two processes hold locks on two files of one name.
/// </summary>
internal sealed class FolderLock : IDisposable
{
    public const string FileName = ".lock";

    // What an open file of another process is to the system: ERROR_SHARING_VIOLATION on Windows, EAGAIN on Linux and on macOS.
    private const int WindowsSharingViolation = unchecked((int)0x80070020), LinuxTryAgain = 11, MacTryAgain = 35;

    private readonly FileStream _file;

    private FolderLock(FileStream file) => _file = file;

    /// <summary>Takes the lock, waiting for whoever has it.</summary>
    /// <param name="pause">Time between two attempts.</param>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first.</exception>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static FolderLock Take(string folder, TimeSpan pause, CancellationToken stop)
    {
        while (true)
        {
            stop.ThrowIfCancellationRequested();
            try
            {
                return new FolderLock(new FileStream(Path.Combine(folder, FileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
            }
            catch (IOException e) when (e.HResult is WindowsSharingViolation or LinuxTryAgain or MacTryAgain)
            {
                stop.WaitHandle.WaitOne(pause);
            }
        }
    }

    public void Dispose() => _file.Dispose();
}
