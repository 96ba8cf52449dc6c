namespace RawDiffusion.Cuda;

/// <summary>
/// Compiles kernels with NVRTC and remembers the results on disk, so that only the first run on a machine compiles. Methods may be
/// called from several threads.
/// </summary>
public sealed class KernelCompiler
{
    private readonly KernelCache? _cache;
    private int _compiled, _read;

    /// <param name="cacheFolder">Where results are kept; null: nowhere.</param>
    public KernelCompiler(string? cacheFolder) => _cache = cacheFolder is null ? null : new KernelCache(cacheFolder);

    /// <summary>
    /// Results are kept in RAWDIFFUSION_CACHE, else below XDG_CACHE_HOME or ~/.cache; on Windows below the local application data.
    /// </summary>
    public KernelCompiler() : this(KernelCache.DefaultFolder)
    {
    }

    /// <summary>Where results are kept; null: nowhere.</summary>
    public string? CacheFolder => _cache?.Folder;

    /// <summary>How many sources were compiled so far.</summary>
    public int Compiled => _compiled;

    /// <summary>How many results were read from the cache so far.</summary>
    public int Read => _read;

    /// <summary>Why results could not be kept; null where they were. Compiling goes on without a cache.</summary>
    public string? CacheProblem { get; private set; }

    /// <summary>
    /// The kernels of a source for a target, or for <see cref="Nvrtc.Nearest"/> to it. Line information is always in them; it changes
    /// no instruction.
    /// </summary>
    /// <param name="options">As NVRTC takes them, in addition: <c>--fmad=false</c>, <c>-DTILE=64</c>.</param>
    /// <exception cref="CudaLibraryNotFoundException">NVRTC is not installed.</exception>
    /// <exception cref="KernelCompilationException">The source was refused.</exception>
    public CompiledKernels Compile(KernelSource source, KernelTarget target, params ReadOnlySpan<string> options)
    {
        target = Nvrtc.Nearest(target);
        string[] all = ["--std=c++17", "--generate-line-info", .. target.IsCubin ? ["--ptxas-options=-v"] : Array.Empty<string>(), .. options];
        if (_cache is null)
            return CompileNow(source, target, all);

        byte[] key = KernelCache.Key(source, target, all, Nvrtc.Version);
        if (_cache.Read(key, source.Name) is var (image, log))
        {
            Interlocked.Increment(ref _read);
            return new CompiledKernels(source.Name, target, image, log);
        }
        var kernels = CompileNow(source, target, all);
        try
        {
            _cache.Write(key, source.Name, kernels.Image, kernels.Log);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            CacheProblem = $"{_cache.Folder}: {e.Message}";
        }
        return kernels;
    }

    private CompiledKernels CompileNow(KernelSource source, KernelTarget target, string[] options)
    {
        Interlocked.Increment(ref _compiled);
        return Nvrtc.Compile(source, target, options);
    }
}
