using System.Diagnostics;
using System.Runtime.InteropServices;

namespace RawDiffusion.Cuda;

/// <summary>A library that is not on this machine, or could not be loaded. The message is complete: what, where it was sought, what to install.</summary>
public sealed class CudaLibraryNotFoundException(string message) : DllNotFoundException(message);

/// <summary>
/// Finds one native library by its names and loads it when it is first needed. It remembers every place it looked in, for
/// <c>doctor</c> and for the error; a search that found nothing is made again when it is needed again.
/// </summary>
public sealed class LibraryLocator
{
    private readonly Lock _lock = new();
    private readonly Func<string[]> _names;
    private readonly string? _wheel;
    private readonly SearchPlaces _places;
    private readonly Action? _first;
    private readonly List<string> _looked = [];
    private nint _handle;

    /// <param name="title">What it is called in messages: <c>NVRTC</c>.</param>
    /// <param name="names">File names, newest version first; asked for when the search begins.</param>
    /// <param name="wheel">The folder of its Python package below <c>nvidia</c>; null where there is none.</param>
    /// <param name="advice">How it is installed: the end of the error.</param>
    /// <param name="first">What must have been loaded before.</param>
    internal LibraryLocator(string title, Func<string[]> names, string? wheel, string advice, SearchPlaces places, Action? first = null) =>
        (Title, _names, _wheel, Advice, _places, _first) = (title, names, wheel, advice, places, first);

    /// <summary>What it is called in messages.</summary>
    public string Title { get; }

    /// <summary>How it is installed.</summary>
    public string Advice { get; }

    /// <summary>The file that was loaded; null before the search and where nothing was found.</summary>
    public string? Path { get; private set; }

    /// <summary>Every place looked in by the last search, with what was found there, in order; empty before the first.</summary>
    public IReadOnlyList<string> Looked => _looked;

    /// <summary>Searches unless it was found before, and says whether the library is loaded.</summary>
    public bool TryLoad(out nint handle)
    {
        lock (_lock)
        {
            if (_handle == 0)
            {
                _first?.Invoke();
                _looked.Clear();
                _handle = Search(_names());
            }
            handle = _handle;
            return handle != 0;
        }
    }

    /// <exception cref="CudaLibraryNotFoundException">It was not found; the message says where it was sought and what to install.</exception>
    public nint Load() => TryLoad(out nint handle) ? handle : throw new CudaLibraryNotFoundException(Missing());

    /// <summary>The error: what was not found where, and what to install.</summary>
    internal string Missing() => $"{Title} ({string.Join(", ", _names())}) was not found in: {string.Join("; ", _looked)}. {Advice}";

    private nint Search(string[] names)
    {
        foreach (var (place, folders) in _places.BeforeTheLoader())
        {
            if (SearchFolders(place, folders, names) is not 0 and var handle)
                return handle;
        }
        foreach (string name in names)
        {
            if (NativeLibrary.TryLoad(name, out nint handle))
            {
                Path = LoadedPath(name) ?? name;
                _looked.Add($"the system's loader ({Path})");
                return handle;
            }
        }
        _looked.Add("the system's loader (no)");
        foreach (var (place, folders) in _places.AfterTheLoader(_wheel))
        {
            if (SearchFolders(place, folders, names) is not 0 and var handle)
                return handle;
        }
        return 0;
    }

    private nint SearchFolders(string place, string[] folders, string[] names)
    {
        string found = folders.Length == 0 ? "" : " (not there)";
        foreach (string folder in folders)
        {
            foreach (string name in names)
            {
                string path = System.IO.Path.Combine(folder, name);
                if (!File.Exists(path))
                    continue;
                try
                {
                    nint handle = NativeLibrary.Load(path);
                    Path = path;
                    _looked.Add($"{place} ({path})");
                    return handle;
                }
                catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
                {
                    // Another place may hold one that works; what is wrong with this one is told where none does.
                    found = $" ({path} cannot be loaded: {Reason(e.Message, path)})";
                }
            }
        }
        _looked.Add(folders.Length == 0 && !place.EndsWith(')') ? $"{place} (none)" : place + found);
        return 0;
    }

    /// <summary>The loader's own words: the line about the file that there was, out of the many that .NET tries.</summary>
    private static string Reason(string message, string path)
    {
        string[] lines = message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        string line = lines.FirstOrDefault(text => text.StartsWith(path + ":", StringComparison.Ordinal)) ?? lines[0];
        return line.StartsWith(path + ":", StringComparison.Ordinal) ? line[(path.Length + 1)..].Trim() : line;
    }

    /// <summary>Where the loader found a library that was asked for by name; null where the system does not tell.</summary>
    private static string? LoadedPath(string name)
    {
        using var process = Process.GetCurrentProcess();
        return process.Modules.Cast<ProcessModule>()
            .Select(module => module.FileName)
            .FirstOrDefault(file => System.IO.Path.GetFileName(file).StartsWith(name, StringComparison.OrdinalIgnoreCase));
    }
}
