namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Copies what a kernel sees of an image with few channels, [taps along rows][taps along columns][channels], padding as zeros.
/// </summary>
internal readonly unsafe struct ConvPatch<V> where V : struct, ISimd<V>
{
    private readonly int _tapRows, _tapColumns, _height, _width, _channels, _rowFloats;
    private readonly nint _imageRow;
    private readonly float* _end;

    public ConvPatch(int tapRows, int tapColumns, int height, int width, int channels, int batch, float* x)
    {
        (_tapRows, _tapColumns, _height, _width, _channels) = (tapRows, tapColumns, height, width, channels);
        _rowFloats = tapColumns * channels;
        _imageRow = (nint)width * channels;
        _end = x + batch * height * _imageRow;
    }

    /// <summary>
    /// Writes the patch whose first tap is at (row, column) of the image, which <paramref name="source"/> points at, even where
    /// that lies outside. Up to a vector beyond the patch is overwritten.
    /// </summary>
    public void Copy(float* source, int row, int column, float* patch)
    {
        bool whole = column >= 0 && column + _tapColumns <= _width;
        if (whole && row >= 0 && row + _tapRows <= _height && _rowFloats <= V.Count && source + (_tapRows - 1) * _imageRow + V.Count <= _end)
        {
            // Most pixels, if not most images: a vector per row, whose end the next one overwrites.
            for (int i = 0; i < _tapRows; i++, patch += _rowFloats, source += _imageRow)
                V.Store(V.Load(source), patch);
            return;
        }
        for (int i = 0; i < _tapRows; i++, patch += _rowFloats, source += _imageRow)
        {
            if ((uint)(row + i) >= (uint)_height)
            {
                for (int c = 0; c < _rowFloats; c++)
                    patch[c] = 0;
            }
            else if (whole && source + _rowFloats + V.Count <= _end)
            {
                for (int c = 0; c < _rowFloats; c += V.Count)
                    V.Store(V.Load(source + c), patch + c);
            }
            else
            {
                int from = Math.Clamp(-column, 0, _tapColumns) * _channels;
                int to = Math.Clamp(_width - column, 0, _tapColumns) * _channels;
                for (int c = 0; c < _rowFloats; c++)
                    patch[c] = c >= from && c < to ? source[c] : 0;
            }
        }
    }
}
